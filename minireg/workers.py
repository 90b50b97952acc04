"""Where the trials of a sweep run: in this process, in others through joblib, on a cluster through Dask.

Each way gives the same outcomes in an order of its own. A worker that dies takes no other trial with
it: joblib and Dask start another, and the trial is repeated.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import inspect
import logging
import os
import pickle
import platform
import signal
import sys
import threading
import time
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, CancelledError, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import cache, partial
from typing import Any

import numpy as np

from .messages import needed
from .training import passing_interrupts

Point = dict[str, Any]
Trial = tuple[int, Point, Any]  # its number, parameters and seed
Ending = dict[str, float] | Exception | None  # its figures or its error; None: Ctrl-C
Outcome = tuple[int, Ending]

#: How many seconds a scheduler has to answer, and workers that are gone to come again.
PATIENCE, LOST = 10, 60
KILLED = "its worker was killed; was there memory enough?"


def outcomes(
    function: Callable[..., Any],
    trials: list[Trial],
    n_jobs: int,
    scheduler: str | None,
    retries: int,
) -> Generator[Outcome, None, None]:
    """How each trial ended, in the order in which they end; arguments as of :func:`minireg.sweep`."""
    if scheduler is not None:
        yield from _dask(function, trials, n_jobs, scheduler, retries)
    elif n_jobs == 1:
        yield from map(partial(run, function), trials)
    else:
        yield from _joblib(function, trials, n_jobs, retries)


def run(function: Callable[..., Any], trial: Trial, away: str | None = None) -> Outcome:
    """One trial; ``away`` in another process, to which errors must be sent, and interrupts told: the
    function's digest there, which an older one of its name in this process has not.
    """
    number, point, seed = trial
    try:
        if away is not None and digest(function) != away:
            raise RuntimeError(
                f"sweep: this worker has another version of {function!r:.60} in memory; start the "
                "workers, or Python, anew"
            )
        with passing_interrupts():
            return number, _numbers(function(**point, seed=seed), taken={*point, "seed"})
    except KeyboardInterrupt:
        if away is None:
            raise
        return number, None
    except Exception as error:
        error.add_note(f"sweep: at {point}, seed {seed}")
        return number, error if away is None else _portable(error)


def inner(function: Callable[..., Any]) -> Callable[..., Any]:
    """What a function wraps.

    >>> inner(partial(message, None)) is message
    True
    """
    function = inspect.unwrap(function)
    while isinstance(function, partial):
        function = inspect.unwrap(function.func)
    return function


def digest(function: Callable[..., Any]) -> str:
    """Of a function's code and defaults as they are in memory; comments and line numbers do not count.

    Nor does what it calls. Empty for what is not written in Python.

    >>> digest(lambda l2, seed: 1) == digest(lambda l2, seed: 1) != digest(lambda l2, seed: 2)
    True
    """
    there = inner(function)
    there = there if inspect.isroutine(there) else type(there).__call__
    there = getattr(there, "__func__", there)
    if not inspect.isfunction(there):
        return ""
    found = _written(there.__code__), _written(there.__defaults__), _written(there.__kwdefaults__)
    return hashlib.sha256("".join(found).encode()).hexdigest()[:16]


def _written(value: Any) -> str:
    """Code, a constant or a default as text that is the same in every process of one Python version."""
    if inspect.iscode(value):
        names = value.co_names, value.co_varnames, value.co_freevars, value.co_flags
        return f"{value.co_code.hex()} {names} {_written(value.co_consts)}"
    if isinstance(value, tuple | list):
        return f"({', '.join(map(_written, value))})"
    if isinstance(value, frozenset | set):
        return f"{{{', '.join(sorted(map(_written, value)))}}}"
    if isinstance(value, dict):
        return _written([*value.items()])
    plain = value is None or value is ... or isinstance(value, int | float | complex | str | bytes)
    return repr(value) if plain else type(value).__qualname__


def message(error: BaseException) -> str:
    """An error in one line.

    >>> message(ValueError("no"))
    'ValueError: no'
    """
    return str(error) if isinstance(error, NotedError) else f"{type(error).__name__}: {error}"


class NotedError(RuntimeError):
    """The error of a trial, of which a store has kept type and text.

    >>> message(NotedError("ValueError: no"))
    'ValueError: no'
    """


def _numbers(result: Any, taken: set[str]) -> dict[str, float]:
    """What a trial returned, as named figures."""
    try:
        figures = result if isinstance(result, Mapping) else {"value": result}
        numbers = {str(k): float(v) for k, v in figures.items()}
        if not numbers:
            raise TypeError("it has no figure")
    except (OverflowError, TypeError, ValueError) as error:
        raise TypeError(
            "sweep: the function must return a number or a mapping of named numbers, got "
            f"{result!r:.80}"
        ) from error
    if both := taken & numbers.keys():
        raise ValueError(f"sweep: {sorted(both)} are parameters, call the figures something else")
    return numbers


def _portable(error: Exception) -> Exception:
    """An error that can be sent to another process, with its traceback as a note."""
    trace = "".join(traceback.format_exception(error))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        error = RuntimeError(message(error))
    error.add_note(f"raised in a worker:\n{trace}")
    return error


def _unsendable(function: Callable[..., Any], error: BaseException) -> TypeError:
    # (the last line of a remote traceback)
    why = message(error.__cause__ or error).strip(' "\n').splitlines()[-1]
    return TypeError(
        f"sweep: {function!r:.60} cannot run in another process: {why}; define it at the top of a "
        "module that the workers can import, and open files and locks inside it"
    )


# --- joblib -------------------------------------------------------------------------------------


@contextmanager
def _hushed() -> Iterator[None]:
    """Trials that an interrupt cancels are no news: neither joblib's warning, nor that the thread of its
    executor looks for one in vain and ends by a ``KeyError`` (joblib/loky#663).
    """
    shown = threading.excepthook

    def hook(given: threading.ExceptHookArgs) -> None:
        if getattr(given.thread, "name", "") != "ExecutorManagerThread":
            shown(given)

    threading.excepthook = hook
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        threading.excepthook = shown


def _joblib(
    function: Callable[..., Any], trials: list[Trial], n_jobs: int, retries: int
) -> Iterator[Outcome]:
    """When a worker dies, joblib ends the others too: the trials that were under way are repeated one
    by one, which shows the one that kills its worker, and the rest goes on.
    """
    joblib = needed("sweep(n_jobs=) needs joblib", "joblib", "'minireg[sweep]'")
    width, task = joblib.effective_n_jobs(n_jobs), joblib.delayed(_run_below)
    waiting, sent = {trial[0]: trial for trial in trials}, digest(function)

    def ended(some: Iterable[Trial], n_jobs: int) -> Iterator[Outcome]:
        # as many trials are under way as there are workers, started in order: so it is known which
        parallel = joblib.Parallel(
            n_jobs, return_as="generator_unordered", batch_size=1, pre_dispatch="n_jobs"
        )
        endings: Any = None
        try:
            with _deaf("multiprocessing", "joblib.externals.loky.backend"):
                endings = parallel(task(os.getpid(), function, trial, sent) for trial in some)
            for number, ending in endings:
                del waiting[number]
                yield number, ending
        except (pickle.PicklingError, AttributeError) as error:
            raise _unsendable(function, error) from error
        except BrokenExecutor as error:
            if "un-serialize" in str(error):
                raise _unsendable(function, error) from error
            raise
        finally:
            if endings is not None:
                with _hushed():
                    endings.close()

    def alone(trial: Trial) -> Iterator[Outcome]:
        for _ in range(max(1, retries)):
            try:
                yield from ended([trial], 2)  # 1 would run it in this process
                return
            except BrokenExecutor:
                pass
        del waiting[trial[0]]
        yield trial[0], RuntimeError(KILLED)

    while waiting:
        try:
            yield from ended([*waiting.values()], n_jobs)
        except BrokenExecutor:
            for trial in [*waiting.values()][:width]:
                yield from alone(trial)


def _run_below(parent: int, function: Callable[..., Any], trial: Trial, sent: str) -> Outcome:
    """In a worker, which ends with its parent; in a thread, or on another machine, it is none of it."""
    if os.getppid() == parent:
        _end_with(parent)
    return run(function, trial, sent)


@cache  # once in a process
def _end_with(parent: int) -> None:
    """End this process with its parent: one that is killed can tell no worker, and joblib's would wait."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


# --- Dask ---------------------------------------------------------------------------------------


def _dask(
    function: Callable[..., Any], trials: list[Trial], n_jobs: int, scheduler: str, retries: int
) -> Iterator[Outcome]:
    """Dask's scheduler repeats a trial whose worker died.

    It suspects all that was under way on that worker, so no more is sent than there are threads.
    """
    distributed = needed("sweep(scheduler=) needs Dask", "distributed", "'minireg[cluster]'")
    try:
        code = importlib.import_module("cloudpickle").dumps(function)
    except Exception as error:
        raise _unsendable(function, error) from error
    with ExitStack() as stack:
        client = _client(stack, distributed, n_jobs, scheduler, retries)
        try:
            found = client.run(_versions_there, code)
        except Exception as error:
            raise _unsendable(function, error) from error
        _check_versions(versions() | {"function": digest(function)}, found, scheduler)
        rest, started, sent = deque(trials), {}, digest(function)
        running = distributed.as_completed(loop=client.loop)

        def fill() -> None:
            while rest and running.count() < max(1, sum(client.nthreads().values())):
                future = client.submit(_run_there, code, rest[0], sent, pure=False)
                started[future] = rest.popleft()[0]
                running.add(future)

        stack.callback(lambda: client.cancel([*started]))  # Ctrl-C: what waits is not begun
        fill()
        while running.count():
            _wait(client, running, scheduler)
            future = next(running)
            number = started.pop(future)
            try:
                outcome: Outcome = future.result()
            except distributed.scheduler.KilledWorker:
                outcome = number, RuntimeError(KILLED)
            except CancelledError as error:
                raise ConnectionError(f"sweep: the scheduler {scheduler} was lost") from error
            except Exception as error:  # run returns those of the function: this is of sending it
                raise _unsendable(function, error) from error
            fill()
            yield outcome


def _wait(client: Any, running: Any, scheduler: str) -> None:
    """Until an outcome is there; ``ConnectionError`` if all workers are gone, and none comes."""
    seen = asked = time.monotonic()
    while not running.has_ready():
        time.sleep(0.01)
        if (now := time.monotonic()) < asked + 1:
            continue
        asked = now
        with suppress(OSError):  # of a scheduler that is lost, as whose futures will tell
            seen = now if client.nthreads() else seen
        if now > seen + LOST:
            raise ConnectionError(
                f"sweep: the workers of {scheduler} are gone, and none came within {LOST} s; start them "
                f"with: dask worker {scheduler} --nthreads 1"
            )


def _client(stack: ExitStack, distributed: Any, n_jobs: int, scheduler: str, retries: int) -> Any:
    """A client of the scheduler, or of a cluster on this machine, until the stack is left."""
    address: Any = scheduler
    if scheduler == "local":
        dask = needed("sweep(scheduler=) needs Dask", "dask", "'minireg[cluster]'")
        stack.enter_context(dask.config.set({"distributed.scheduler.allowed-failures": retries}))
        workers = n_jobs if n_jobs > 0 else max(1, (os.cpu_count() or 1) + 1 + n_jobs)
        with _deaf("multiprocessing"):
            address = stack.enter_context(
                distributed.LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    dashboard_address=":0",  # None is port 8787, which another may have
                    silence_logs=logging.CRITICAL,  # that a worker is gone is told in the table
                )
            )
    try:
        _check_answers(distributed, getattr(address, "scheduler_address", address))
        client = distributed.Client(address, timeout=PATIENCE, set_as_default=False)
        stack.enter_context(client)
        client.wait_for_workers(1, timeout=PATIENCE)
    except TimeoutError as error:
        raise ConnectionError(
            f"sweep: the scheduler {scheduler} has no workers, or did not answer within {PATIENCE} s; "
            f"start them with: dask worker {scheduler} --nthreads 1"
        ) from error
    except Exception as error:  # Dask has no kind of its own
        raise ConnectionError(
            f"sweep: no scheduler at {scheduler!r}: {error}; expected 'local', or the address that "
            "`dask scheduler` prints, such as 'tcp://10.0.0.1:8786'"
        ) from error
    return client


def _check_answers(distributed: Any, address: str) -> None:
    """An error unless a scheduler answers: a Client that meets none prints it later, or waits for ever."""

    async def greet() -> None:
        options = distributed.Security().get_connection_args("client")
        greeting = distributed.core.connect(address, PATIENCE, **options)
        (await asyncio.wait_for(greeting, PATIENCE + 1)).abort()

    with ThreadPoolExecutor(1) as thread:  # a notebook has a loop running in this one
        thread.submit(asyncio.run, greet()).result()


@contextmanager
def _deaf(*trackers: str) -> Iterator[None]:
    """Processes that begin inside never hear Ctrl-C, which comes to this one when they have begun.

    They inherit which signals are blocked; were it ignored instead, it would be lost here.
    """
    if threading.current_thread() is not threading.main_thread() or os.name != "posix":
        yield
        return
    for tracker in trackers:  # which may unblock Ctrl-C as they begin
        importlib.import_module(f"{tracker}.resource_tracker").ensure_running()
    heard: list[object] = []
    before = signal.signal(signal.SIGINT, lambda *given: heard.append(given))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, before)
    if heard:
        signal.raise_signal(signal.SIGINT)


def versions() -> dict[str, str]:
    """What the figures of a trial may depend on: it must be the same on all workers.

    >>> list(versions())
    ['python', 'numpy', 'minireg']
    """
    python = ".".join(platform.python_version_tuple()[:2])
    ours = sys.modules["minireg"].__version__
    return {"python": python, "numpy": np.__version__, "minireg": ours}


def _versions_there(code: bytes) -> dict[str, str]:
    """On a worker: its versions, or an error if it cannot import the function."""
    return versions() | {"function": digest(pickle.loads(code))}


def _run_there(code: bytes, trial: Trial, sent: str) -> Outcome:
    """On a worker, which would be lost if a task with a function that it cannot import came."""
    return run(pickle.loads(code), trial, sent)


def _check_versions(
    here: Mapping[str, str], workers: Mapping[str, Mapping[str, str]], scheduler: str
) -> None:
    """``RuntimeError`` unless all have the versions of this process."""
    for worker, found in workers.items():
        for name in here:
            if found[name] != here[name]:
                raise RuntimeError(
                    f"sweep: worker {worker} of {scheduler} has {name} {found[name]}, expected "
                    f"{here[name]} as here: the table must not depend on which worker computes what"
                )
