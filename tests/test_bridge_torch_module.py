"""The module of the torch bridge as a module: its parameters and whoever writes to them, copies,
processes, replacing."""

import copy
import io
import os
import pickle
import threading

import numpy as np
import pytest

from bridged import agree, plain, read_in_place

pytestmark = pytest.mark.filterwarnings(
    "ignore:LSTM with projections is not supported with oneDNN:UserWarning"
)


@pytest.fixture
def bridge(torch):
    torch.manual_seed(0)
    return pytest.importorskip("lstm_native.bridges.torch")


# --- parameters ---


@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True, "proj_size": 2}])
def test_is_an_lstm_of_torch(options, torch, bridge) -> None:
    torch.manual_seed(7)
    theirs = torch.nn.LSTM(3, 4, **options)
    expected_state = torch.get_rng_state()
    torch.manual_seed(7)
    ours = bridge.LSTM(3, 4, **options)
    assert isinstance(ours, torch.nn.LSTM)
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict(prefix="a.")) == list(theirs.state_dict(prefix="a."))
    assert all(map(torch.equal, ours.parameters(), theirs.parameters()))
    assert torch.equal(torch.get_rng_state(), expected_state)
    agree(torch, ours, theirs)


def test_parameters_are_read_in_place(torch, bridge) -> None:
    lstm = bridge.LSTM(3, 4, 2, bidirectional=True)
    weights = list(lstm.parameters())
    block = lstm._memory.flat(weights)
    start = 0
    for weight in weights:
        values = weight.detach().numpy().ravel()
        assert np.shares_memory(block[start : start + values.size], values)
        assert weight.untyped_storage().nbytes() == values.nbytes
        start += values.size
    assert start == block.size
    assert lstm._memory.flat(weights) is block
    lstm(torch.randn(2, 1, 3))[0].sum().backward()
    assert all(weight.grad.is_contiguous() for weight in weights)


def test_results_share_no_memory_with_one_another(torch, bridge) -> None:
    lstm = bridge.LSTM(3, 4).eval()
    x = torch.randn(2, 1, 3)
    with torch.no_grad():
        first, (h_n, _) = lstm(x)
        kept = first.clone(), h_n.clone()
        lstm(2 * x)
    assert torch.equal(first, kept[0])
    assert torch.equal(h_n, kept[1])


def in_place(torch, lstm):
    with torch.no_grad():
        lstm.weight_hh_l0.mul_(2)


def through_data(torch, lstm):
    lstm.weight_hh_l0.data.mul_(2)


def through_data_of_bias(torch, lstm):
    lstm.bias_hh_l0.data.add_(1)


def through_numpy(torch, lstm):
    lstm.bias_ih_l0.detach().numpy()[...] += 1


def in_inference_mode(torch, lstm):
    with torch.inference_mode():
        lstm.bias_hh_l0.sub_(1)


def other_data(torch, lstm):
    lstm.weight_hh_l0.data = torch.randn(16, 4)


def same_address_other_strides(torch, lstm):
    lstm.weight_hh_l0.data = lstm.weight_hh_l0.data.view(4, 16).t()


def other_parameter(torch, lstm):
    lstm.weight_hh_l0 = torch.nn.Parameter(torch.randn(16, 4))


def load(torch, lstm):
    lstm.load_state_dict({k: v + 1 for k, v in lstm.state_dict().items()})


def load_assigning(torch, lstm):
    lstm.load_state_dict({k: v + 1 for k, v in lstm.state_dict().items()}, assign=True)


def step(torch, lstm):
    optimizer = torch.optim.SGD(lstm.parameters(), lr=1.0)
    lstm(torch.randn(2, 1, 3))[0].sum().backward()
    optimizer.step()
    optimizer.zero_grad()


def one_vector(torch, lstm):
    count = sum(weight.numel() for weight in lstm.parameters())
    vector = torch.randn(count)
    torch.nn.utils.vector_to_parameters(vector, lstm.parameters())
    vector.mul_(0.5)


def shared_memory(torch, lstm):
    lstm.share_memory()
    lstm.weight_hh_l0.data.mul_(2)


def tied(torch, lstm):
    lstm.bias_hh_l0 = lstm.bias_ih_l0
    in_place(torch, lstm)


def parametrized(torch, lstm):
    class Doubled(torch.nn.Module):
        def forward(self, weight):
            return 2 * weight

    torch.nn.utils.parametrize.register_parametrization(lstm, "weight_hh_l0", Doubled())


def pruned(torch, lstm):
    from torch.nn.utils import prune

    prune.random_unstructured(lstm, "weight_hh_l0", 0.5)


def drawn_anew(torch, lstm):
    lstm.reset_parameters()


WRITERS = [
    in_place, through_data, through_numpy, in_inference_mode, other_data,
    same_address_other_strides, other_parameter, load, load_assigning, step, one_vector,
    shared_memory, tied, parametrized, pruned, drawn_anew,
]  # fmt: skip


@pytest.mark.parametrize("write", WRITERS, ids=lambda f: f.__name__)
def test_no_write_is_missed(write, torch, bridge) -> None:
    lstm = bridge.LSTM(3, 4)
    infer(torch, lstm)  # so that there is a packed copy to go stale
    write(torch, lstm)
    agree(torch, lstm)
    infer(torch, lstm.eval())
    through_data_of_bias(torch, lstm)
    agree(torch, lstm)


def infer(torch, lstm):
    with torch.no_grad():
        lstm(torch.randn(2, 1, 3, dtype=lstm.bias_hh_l0.dtype))


@pytest.mark.parametrize("hidden", [4, 80])  # the longer parameters are compared by NumPy
def test_the_packed_copy_is_kept_while_nothing_changes(hidden, torch, bridge) -> None:
    lstm = bridge.LSTM(3, hidden)
    lstm.weight_ih_l0.data[0, 0] = float("nan")
    lstm.weight_ih_l0.data[0, 1] = 0.0
    infer(torch, lstm)
    kept = lstm._memory._kept
    infer(torch, lstm)
    assert lstm._memory._kept is kept
    lstm.weight_ih_l0.data[0, 1] = -0.0
    infer(torch, lstm)
    assert lstm._memory._kept is not kept
    lstm(torch.randn(2, 1, 3))
    assert lstm._memory._kept is None


def test_without_gradients_nothing_is_recorded(torch, bridge) -> None:
    """Also where the input would ask for one: a recorded call drops the packed copy."""
    lstm = bridge.LSTM(3, 4)
    infer(torch, lstm)
    kept = lstm._memory._kept
    with torch.no_grad():
        lstm(torch.randn(2, 1, 3, requires_grad=True))
    assert lstm._memory._kept is kept


def test_a_parametrization_is_asked_once_a_call(torch, bridge) -> None:
    """One that draws would give the values one weight and the gradients another."""
    lstm = bridge.LSTM(3, 4)
    asked = []

    class Counting(torch.nn.Module):
        def forward(self, weight):
            asked.append(1)
            return 2 * weight

    torch.nn.utils.parametrize.register_parametrization(lstm, "weight_hh_l0", Counting())
    asked.clear()
    lstm(torch.randn(2, 1, 3))
    assert asked == [1]


def test_functional_call(torch, bridge) -> None:
    lstm = bridge.LSTM(3, 4).eval()
    others = {name: torch.randn_like(w).requires_grad_() for name, w in lstm.named_parameters()}
    x = torch.randn(2, 1, 3)
    agree(torch, lstm)
    with torch.no_grad():
        got = torch.func.functional_call(lstm, others, x)
        expected = torch.func.functional_call(plain(torch, lstm), others, x)
    torch.testing.assert_close(got, expected)
    torch.func.functional_call(lstm, others, x)[0].sum().backward()
    assert all(other.grad is not None for other in others.values())
    assert all(weight.grad is None for weight in lstm.parameters())
    assert read_in_place(lstm)
    agree(torch, lstm)


# --- copies ---


def pickled(lstm):
    return pickle.loads(pickle.dumps(lstm))


def saved(lstm):
    import torch

    file = io.BytesIO()
    torch.save(lstm, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, pickled, saved], ids=lambda f: f.__name__)
def test_copies_are_independent(duplicate, torch, bridge) -> None:
    lstm = bridge.LSTM(3, 4, 2).eval()
    agree(torch, lstm)
    other = duplicate(lstm)
    assert type(other) is bridge.LSTM
    assert not other.training
    assert read_in_place(lstm)
    assert read_in_place(other)
    in_place(torch, other)
    assert not torch.equal(lstm.weight_hh_l0, other.weight_hh_l0)
    agree(torch, lstm)
    agree(torch, other)


def test_a_shallow_copy_shares_parameters(torch, bridge) -> None:
    lstm = bridge.LSTM(3, 4)
    other = copy.copy(lstm)
    assert other.weight_hh_l0 is lstm.weight_hh_l0
    assert read_in_place(lstm)
    assert read_in_place(other)


def test_a_pickle_holds_each_parameter_once(torch, bridge) -> None:
    lstm = bridge.LSTM(30, 40, 3)
    assert len(pickle.dumps(lstm)) < 1.05 * len(pickle.dumps(plain(torch, lstm)))


def test_safetensors(torch, bridge, tmp_path) -> None:
    from safetensors.torch import load_file, save_file

    lstm = bridge.LSTM(3, 4)
    save_file(lstm.state_dict(), tmp_path / "lstm.safetensors")
    for name, value in load_file(tmp_path / "lstm.safetensors").items():
        assert torch.equal(value, lstm.state_dict()[name])


def test_conversions(torch, bridge) -> None:
    lstm = bridge.LSTM(3, 4)
    values = lstm.weight_hh_l0.detach().clone()
    assert read_in_place(lstm.double())
    agree(torch, lstm)
    assert read_in_place(lstm.to(torch.float32))
    agree(torch, lstm)
    assert torch.equal(lstm.weight_hh_l0, values)
    assert lstm.half()._memory is None
    assert read_in_place(lstm.float())


def test_processes_share_parameters(torch, bridge) -> None:
    lstm = bridge.LSTM(3, 4).share_memory()
    child = os.fork()
    if child == 0:
        lstm.weight_hh_l0.data.fill_(0.25)
        os._exit(0)
    os.waitpid(child, 0)
    assert (lstm.weight_hh_l0 == 0.25).all()
    agree(torch, lstm)


def test_in_a_forked_child(torch, bridge) -> None:
    """As a loader's worker would: the same bits, and no hang."""
    lstm = bridge.LSTM(64, 64)
    x = torch.randn(30, 16, 64)
    with torch.no_grad():
        expected = lstm(x)[0]
        child = os.fork()
        if child == 0:
            os._exit(0 if torch.equal(lstm(x)[0], expected) else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_threads_draw_different_masks(torch, bridge) -> None:
    networks = [bridge.LSTM(3, 64, 2, dropout=0.5) for _ in range(4)]
    for lstm in networks[1:]:
        lstm.load_state_dict(networks[0].state_dict())
    x = torch.ones(4, 1, 3)
    results = []

    def work(lstm):
        results.extend(lstm(x)[0].detach().numpy().tobytes() for _ in range(20))

    threads = [threading.Thread(target=work, args=(lstm,)) for lstm in networks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(results)) == 80


# --- replacing ---


def test_replace_and_restore(torch, bridge) -> None:
    class Tagger(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.below = torch.nn.LSTM(3, 4, batch_first=True)
            self.inner = torch.nn.ModuleList([torch.nn.LSTM(4, 4), torch.nn.GRU(4, 4)])
            self.again = self.inner[0]
            self.own = type("Own", (torch.nn.LSTM,), {})(4, 4)

        def forward(self, x):
            return self.again(self.inner[0](self.below(x)[0])[0])[0]

    model = Tagger().eval()
    seen = []
    model.below.register_forward_hook(lambda *_: seen.append(1))
    adam = torch.optim.Adam(model.parameters())
    parameters, objects = list(model.parameters()), list(model.modules())
    x = torch.randn(2, 5, 3)
    expected = model(x)

    assert bridge.replace_lstm(model) is model
    assert list(map(id, model.modules())) == list(map(id, objects))
    assert list(map(id, model.parameters())) == list(map(id, parameters))
    assert type(model.below) is type(model.again) is bridge.LSTM
    assert type(model.own).__name__ == "Own"
    assert read_in_place(model.below)
    assert not model.below.training
    torch.testing.assert_close(model(x), expected)
    assert seen == [1, 1]
    model(x).sum().backward()
    adam.step()
    changed = model(x)
    assert not torch.equal(changed, expected)

    assert bridge.restore_lstm(model) is model
    assert type(model.below) is type(model.again) is torch.nn.LSTM
    assert list(map(id, model.parameters())) == list(map(id, parameters))
    assert not {"_memory", "_said"} & set(vars(model.below))
    torch.testing.assert_close(model(x), changed)


def test_replace_the_model_itself(torch, bridge) -> None:
    lstm = torch.nn.LSTM(3, 4)
    assert bridge.replace_lstm(lstm) is lstm
    agree(torch, lstm)
    assert type(bridge.restore_lstm(lstm)) is torch.nn.LSTM


def test_replacing_leaves_shared_memory_alone(torch, bridge) -> None:
    lstm = torch.nn.LSTM(3, 4).share_memory()
    addresses = [weight.data_ptr() for weight in lstm.parameters()]
    bridge.replace_lstm(lstm)
    assert [weight.data_ptr() for weight in lstm.parameters()] == addresses
    assert all(weight.is_shared() for weight in lstm.parameters())
    agree(torch, lstm)
