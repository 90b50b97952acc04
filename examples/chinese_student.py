"""按教材的编号查命题：某条定理说了什么，对不对，程序量出了什么。

    python examples/chinese_student.py 定理10.10

Claims by their place in the source texts, in Chinese: the statement, the verdict, what was measured.
"""

import re
import sys

from minireg.course.claims import SOURCES, WRONG, by_place, measure_all

sys.stdout.reconfigure(errors="replace")  # 有的终端编码没有 λ、½


def find(text: str):
    """All (source, place, claims) whose place is 'text', however it is spaced."""
    wanted = re.sub(r"\s", "", text)
    return [
        (source, place, claims)
        for source, places in by_place().items()
        for place, claims in places.items()
        if re.sub(r"\s", "", place) == wanted
    ]


def main(text: str) -> None:
    """Print what is said at a place, and measure it again."""
    found = find(text)
    if not found:
        sys.exit(f"没有“{text}”；试试 定理10.10、定理9.3.1")
    for source, place, claims in found:
        print(f"【{SOURCES[source].rpartition(', ')[2]}】{place}\n")
        for claim, result in zip(claims, measure_all(claims), strict=True):
            verdict = "有误" if claim.verdict in WRONG else "成立"
            print(f"{claim.id} {claim.title_zh}（{verdict}）\n  原文：{claim.statement_zh}")
            if claim.corrected_zh:
                print(f"  更正：{claim.corrected_zh}")
            for figure, what in result.named:
                print(f"  量得：{figure.said(what).zh}")
            assert result, "a figure is out of its range"
        print()


main(sys.argv[1] if len(sys.argv) > 1 else "定理10.10")
