"""The estimators of lstm_native.sklearn learn what a plain loop of torch learns.

Loss by loss and parameter by parameter, with the same initial weights and the same order.
"""

from types import ModuleType
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.6")

from lstm_native.sklearn import LSTMClassifier, LSTMRegressor
from sequences import ragged

EPOCHS, BATCH = 3, 4
# Eleven sequences: the last batch is smaller than the others.
OPTIONS: dict[str, Any] = {
    "hidden_size": 5, "num_layers": 2, "bidirectional": True, "batch_size": BATCH, "shuffle": False,
    "dtype": "float64", "random_state": 0,
}  # fmt: skip


def twin(torch: ModuleType, fitted: Any) -> tuple[Any, Any]:
    """torch's network of the same parameters."""
    lstm = torch.nn.LSTM(3, 5, 2, bidirectional=True, batch_first=True, dtype=torch.float64)
    state = {name: torch.tensor(array) for name, array in fitted.lstm_.state_dict().items()}
    lstm.load_state_dict(state)
    head = torch.nn.Linear(*fitted.coef_.shape[::-1], dtype=torch.float64)
    head.load_state_dict(
        {"weight": torch.tensor(fitted.coef_), "bias": torch.tensor(fitted.intercept_)}
    )
    return lstm, head


def trained(
    torch: ModuleType, lstm: Any, head: Any, X: list[Any], y: Any, weights: Any, loss: Any,
    optimizer: Any, *, clip: float | None, linear: bool,
) -> list[float]:  # fmt: skip
    """Train as anybody would with torch; the mean loss of each epoch."""
    parameters = [*lstm.parameters(), *head.parameters()]
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda epoch: 1 - epoch / EPOCHS if linear else 1.0
    )
    curve = []
    for _ in range(EPOCHS):
        total = 0.0
        for start in range(0, len(X), BATCH):
            rows = slice(start, start + BATCH)
            packed = torch.nn.utils.rnn.pack_sequence(
                [torch.tensor(x, dtype=torch.float64) for x in X[rows]], enforce_sorted=False
            )
            h_n = lstm(packed)[1][0]
            each = loss(head(torch.cat([h_n[-2], h_n[-1]], dim=1)), y[rows])
            value = (each * weights[rows]).mean()
            optimizer.zero_grad()
            value.backward()
            if clip is not None:
                torch.nn.utils.clip_grad_norm_(parameters, clip)
            optimizer.step()
            total += float(value.detach()) * len(each)
        curve.append(total / len(X))
        schedule.step()
    return curve


@pytest.mark.parametrize("regresses", [False, True])
@pytest.mark.parametrize(
    ("solver", "learning_rate", "clip"),
    [("adam", "linear", 0.05), ("adamw", "constant", None), ("sgd", "linear", 0.2)],
)
def test_a_training_is_torch_s(
    solver: str, learning_rate: str, clip: float | None, regresses: bool, torch: ModuleType
) -> None:
    X, labels = ragged(11)
    rng = np.random.default_rng(1)
    sample_weight = rng.integers(0, 4, 11).astype(float)
    kind: Any = LSTMRegressor if regresses else LSTMClassifier
    y = rng.normal(size=(11, 2)) if regresses else labels
    options = OPTIONS | {"solver": solver, "learning_rate": learning_rate, "max_grad_norm": clip}
    options |= {"max_iter": EPOCHS, "learning_rate_init": 0.05, "weight_decay": 0.1}
    options |= {"momentum": 0.7} if solver == "sgd" else {}
    weights = sample_weight
    if not regresses:
        options["class_weight"] = {"down": 1.0, "up": 2.5}
        weights = sample_weight * np.where(labels == "up", 2.5, 1.0)
    fitted = kind(**options).fit(X, y, sample_weight=sample_weight)

    still = kind(**options | {"learning_rate_init": 0.0, "weight_decay": 0.0, "max_iter": 1})
    lstm, head = twin(torch, still.fit(X, y))
    parameters = [*lstm.parameters(), *head.parameters()]
    rule = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}[solver]
    more = {"momentum": 0.7} if solver == "sgd" else {}
    optimizer = rule(parameters, lr=0.05, weight_decay=0.1, **more)
    if regresses:
        targets = torch.tensor(y)

        def loss(scores: Any, wanted: Any) -> Any:
            return 0.5 * ((scores - wanted) ** 2).mean(dim=1)
    else:
        targets = torch.tensor((labels == "up").astype(int))

        def loss(scores: Any, wanted: Any) -> Any:
            return torch.nn.functional.cross_entropy(scores, wanted, reduction="none")

    curve = trained(
        torch, lstm, head, X, targets, torch.tensor(weights / weights.mean()), loss, optimizer,
        clip=clip, linear=learning_rate == "linear",
    )  # fmt: skip
    np.testing.assert_allclose(fitted.loss_curve_, curve, rtol=1e-9)
    for name, tensor in lstm.state_dict().items():
        found = fitted.lstm_.state_dict()[name]
        np.testing.assert_allclose(found, tensor.numpy(), rtol=1e-7, atol=1e-9, err_msg=name)
    np.testing.assert_allclose(fitted.coef_, head.weight.detach().numpy(), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(fitted.intercept_, head.bias.detach().numpy(), rtol=1e-7, atol=1e-9)
