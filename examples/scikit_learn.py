"""Which inputs does a network need? A group lasso on them, its λ by scikit-learn's own search.

    python examples/scikit_learn.py

scikit-learn's MLPClassifier knows one penalty, L2. Here a group is all that leaves one input, so the
prox switches whole inputs off. The search takes the strongest λ within one standard error of the best.
"""

import warnings

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import minireg as mr
from minireg.sklearn import MLPClassifier

STRENGTH = "mlpclassifier__penalties__inputs__strength"


def one_standard_error(results):
    """The index of the strongest λ whose accuracy is within one standard error of the best."""
    mean, spread = results["mean_test_score"], results["std_test_score"]
    best = mean.argmax()
    good = mean >= mean[best] - spread[best] / 3**0.5  # of three folds
    return int(np.flatnonzero(good)[-1])


def main():
    """Search, refit, and say what is switched off; returns (λ, test accuracy, names of inputs left)."""
    data = load_breast_cancer(as_frame=True)
    train, test, y, truth = train_test_split(
        data.data, data.target_names[data.target], random_state=0, stratify=data.target
    )
    inputs = mr.Term(mr.penalties.GroupLasso(0.0, axis=0), on="0.weight", via="prox")
    options = {"batch_size": 64, "lr": 0.01, "max_iter": 40, "random_state": 0}
    network = MLPClassifier((16,), penalties={"inputs": inputs}, **options)
    grid, model = {STRENGTH: [0, 1e-3, 1e-2, 3e-2]}, make_pipeline(StandardScaler(), network)
    search = GridSearchCV(model, grid, cv=3, refit=one_standard_error).fit(train, y)
    for strength, score in zip(grid[STRENGTH], search.cv_results_["mean_test_score"], strict=True):
        print(f"λ = {strength:<6g} accuracy {score:.3f}")
    weight = search.best_estimator_[-1].model_[0].weight.numpy()
    on = (weight != 0).any(axis=0)
    strength, accuracy = search.best_params_[STRENGTH], search.score(test, truth)
    print(f"λ = {strength:g}: {on.sum()} of {on.size} inputs left, {accuracy:.3f} on new data")
    print("switched off:", ", ".join(train.columns[~on]))
    return strength, accuracy, list(train.columns[on])


if __name__ == "__main__":
    warnings.simplefilter("error")
    strength, accuracy, left = main()
    assert strength > 0
    assert accuracy > 0.92
    assert 1 <= len(left) <= 20
