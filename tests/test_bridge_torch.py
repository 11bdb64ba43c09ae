"""The torch bridge against torch.nn.LSTM: results, gradients, random numbers, training, bits.

Warnings are errors in this suite, so a call that torch had to run would fail here.
"""

import itertools

import numpy as np
import pytest

import lstm_native
from test_parity_torch import (
    GROUPS,
    HIDDEN,
    INPUT,
    LAYOUTS,
    LENGTHS,
    MEMORY,
    PROJ,
    Combination,
    T,
    data,
    differences,
    packing,
    rng_state,
)

pytestmark = pytest.mark.filterwarnings(
    "ignore:dropout option adds dropout:UserWarning",
    "ignore:LSTM with projections is not supported with oneDNN:UserWarning",
    "ignore:The given NumPy array is not writable:UserWarning",
)


@pytest.fixture
def bridge(torch):
    return pytest.importorskip("lstm_native.bridges.torch")


def pair(torch, bridge, *args, dtype="float32", **options):
    """Return one of ours and one of torch's with equal weights, larger than the default ones."""
    theirs = torch.nn.LSTM(*args, dtype=getattr(torch, dtype), **options)
    for weight in theirs.parameters():
        torch.nn.init.uniform_(weight, -0.7, 0.7)
    ours = bridge.LSTM(*args, dtype=getattr(torch, dtype), **options)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def run(torch, module, layout, x, state, grads, seed):
    """Return output, h_n, c_n, all gradients, and the state of torch's generator afterwards."""
    rnn = torch.nn.utils.rnn
    given = leaf = torch.from_numpy(x).requires_grad_()
    states = [torch.from_numpy(s).requires_grad_() for s in state or ()]
    if layout == "lengths":
        lengths = torch.from_numpy(LENGTHS)
        given = rnn.pack_padded_sequence(leaf, lengths, module.batch_first, enforce_sorted=False)
    elif layout.startswith("packed"):
        indices = [None if a is None else torch.from_numpy(a) for a in packing(layout)]
        given = rnn.PackedSequence(leaf, *indices)
    torch.manual_seed(seed)
    output, (h_n, c_n) = module(given, tuple(states) or None)
    if layout == "lengths":
        output, _ = rnn.pad_packed_sequence(output, module.batch_first, total_length=T)
    elif layout.startswith("packed"):
        output = output.data
    variables = [leaf, *states, *module.parameters()]
    given_grads = [torch.from_numpy(g) for g in grads]
    results = torch.autograd.grad((output, h_n, c_n), variables, given_grads)
    values = [value.detach().numpy() for value in (output, h_n, c_n, *results)]
    return values, rng_state(torch)


@pytest.mark.parametrize(("layers", "directions", "dtype"), GROUPS)
def test_every_combination(layers, directions, dtype, torch, bridge, rng, parity_count) -> None:
    failures = []
    memories = itertools.cycle(MEMORY)
    networks = itertools.product((True, False), (False, True), (0, PROJ), (0.0, 0.4, 1.0))
    for bias, batch_first, proj, dropout in networks:
        ours, theirs = pair(
            torch, bridge, INPUT, HIDDEN, layers, bias, batch_first, dropout,
            directions == 2, proj, dtype=dtype,
        )  # fmt: skip
        options = (layers, directions, dtype, bias, batch_first, proj, dropout)
        for layout, with_state in itertools.product(LAYOUTS, (True, False)):
            c = Combination(*options, layout, next(memories), with_state)
            call = (layout, *data(rng, c), int(rng.integers(2**31)))
            expected, their_state = run(torch, theirs, *call)
            got, our_state = run(torch, ours, *call)
            states = ["d_h_0", "d_c_0"] if with_state else []
            parameters = [f"d_{name}" for name in ours.state_dict()]
            names = ["output", "h_n", "c_n", "d_input", *states, *parameters]
            found = differences(names, got, expected, dtype)
            if our_state != their_state:
                found.append("torch's generator is in another state")
            parity_count.combinations += 1
            if found:
                parity_count.failures += 1
                failures.append(f"{c}\n    " + "\n    ".join(found))
    assert not failures, f"{len(failures)} combinations differ\n" + "\n".join(failures[:8])


@pytest.mark.parametrize("batch_first", [False, True])
def test_empty_batch(batch_first, torch, bridge) -> None:
    ours, theirs = pair(torch, bridge, 3, 4, 2, batch_first=batch_first)
    x = torch.zeros((0, 5, 3) if batch_first else (5, 0, 3), requires_grad=True)
    for a, b in zip(flat(ours(x)), flat(theirs(x)), strict=True):
        assert a.shape == b.shape
    (gradient,) = torch.autograd.grad(ours(x)[0].sum(), [x])
    assert gradient.shape == x.shape


def flat(results):
    output, (h_n, c_n) = results
    return [output[0] if isinstance(output, tuple) else output, h_n, c_n]


@pytest.mark.parametrize("layout", ["dense", "unbatched", "packed"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bias": False, "batch_first": True},
        {"num_layers": 2, "bidirectional": True, "proj_size": 2},
        {"num_layers": 3, "dropout": 0.4},
        {"num_layers": 2, "bidirectional": True, "batch_first": True},
    ],
)
def test_gradcheck(options, layout, torch, bridge) -> None:
    """Central differences in float64 over input, states and every parameter; reruns bit-equal."""
    torch.manual_seed(5)
    lstm = bridge.LSTM(2, 3, dtype=torch.float64, **options)
    rows = lstm.num_layers * (2 if lstm.bidirectional else 1)
    batch = () if layout == "unbatched" else (2,)
    shape = (3, *batch, 2)
    if layout == "packed":
        shape = (4, 2)
    elif batch and lstm.batch_first:
        shape = (2, 3, 2)

    def draw(*shape):
        return torch.randn(*shape, dtype=torch.float64, requires_grad=True)

    def call(x, h_0, c_0, *_):
        torch.manual_seed(6)
        if layout == "packed":
            indices = [torch.tensor(i) for i in ([2, 1, 1], [1, 0], [1, 0])]
            x = torch.nn.utils.rnn.PackedSequence(x, *indices)
        output, (h_n, c_n) = lstm(x, (h_0, c_0))
        return (output[0] if layout == "packed" else output), h_n, c_n

    states = draw(rows, *batch, lstm.proj_size or 3), draw(rows, *batch, 3)
    assert torch.autograd.gradcheck(call, (draw(*shape), *states, *lstm.parameters()))


def test_training(torch, bridge) -> None:
    """Fifty steps of a two-layer bidirectional ragged model: the same losses as torch's."""
    ours, theirs = pair(torch, bridge, 6, 8, 2, bidirectional=True, dropout=0.2)
    torch.manual_seed(1)
    x, target = torch.randn(12, 5, 6), torch.randn(5, 16)
    lengths = torch.tensor([12, 3, 7, 12, 1])

    def losses(module):
        adam = torch.optim.Adam(module.parameters(), lr=1e-2)
        torch.manual_seed(2)
        for _ in range(50):
            packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
            _, (h_n, _) = module(packed)
            loss = (torch.cat([h_n[-2], h_n[-1]], 1) - target).pow(2).mean()
            adam.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            adam.step()
            yield loss.item()

    got, expected = list(losses(ours)), list(losses(theirs))
    assert expected[-1] < 0.9 * expected[0]
    np.testing.assert_allclose(got, expected, rtol=1e-4)


@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True, "proj_size": 16}])
def test_same_bits_for_any_number_of_threads(options, torch, bridge) -> None:
    lstm = bridge.LSTM(24, 64, **options)
    x = torch.randn(20, 9, 24, requires_grad=True)
    runs = []
    for threads in (1, 2, 4, 1):
        lstm_native.set_num_threads(threads)
        results = flat(lstm(x))
        with torch.no_grad():
            inferred = flat(lstm(x))
        variables = [x, *lstm.parameters()]
        gradients = torch.autograd.grad([r.sum() for r in results], variables)
        assert all(map(torch.equal, results, inferred))
        runs.append([*results, *gradients])
    assert all(all(map(torch.equal, run, runs[0])) for run in runs)


def test_a_row_alone_has_the_bits_it_has_in_a_batch(torch, bridge) -> None:
    lstm = bridge.LSTM(5, 7, 2, bidirectional=True)
    x = torch.randn(6, 4, 5, requires_grad=True)
    whole = lstm(x)[0]
    (d_whole,) = torch.autograd.grad(whole.sum(), [x])
    for row in range(4):
        part = x.detach()[:, row : row + 1].clone().requires_grad_()
        alone = lstm(part)[0]
        (d_alone,) = torch.autograd.grad(alone.sum(), [part])
        assert torch.equal(alone[:, 0], whole[:, row])
        assert torch.equal(d_alone[:, 0], d_whole[:, row])


# --- the graph ---


def test_backward_again(torch, bridge) -> None:
    """retain_graph=True gives the same bits again, and the same masks; without it torch refuses."""
    lstm = bridge.LSTM(3, 4, 2, dropout=0.5)
    x = torch.randn(5, 2, 3, requires_grad=True)
    loss = lstm(x)[0].sum()
    before = torch.get_rng_state()
    variables = [x, *lstm.parameters()]
    first = torch.autograd.grad(loss, variables, retain_graph=True)
    second = torch.autograd.grad(loss, variables, retain_graph=True)
    third = torch.autograd.grad(loss, variables)
    assert all(map(torch.equal, first, second))
    assert all(map(torch.equal, first, third))
    assert torch.equal(torch.get_rng_state(), before)
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        torch.autograd.grad(loss, variables)


def test_output_changed_in_place(torch, bridge) -> None:
    lstm = bridge.LSTM(3, 4)
    x = torch.randn(5, 2, 3, requires_grad=True)
    variables = [x, *lstm.parameters()]
    expected = torch.autograd.grad((2 * lstm(x)[0]).sum(), variables)
    output, (h_n, _) = lstm(x)
    h_n.detach().zero_()
    got = torch.autograd.grad(output.mul_(2).sum(), variables)
    assert all(map(torch.equal, got, expected))


@pytest.mark.parametrize("changed", ["input", "state", "parameter"])
def test_what_was_saved_must_not_change(changed, torch, bridge) -> None:
    lstm = bridge.LSTM(3, 4)
    x, h_0, c_0 = torch.randn(5, 2, 3), torch.zeros(1, 2, 4), torch.zeros(1, 2, 4)
    loss = lstm(x, (h_0, c_0))[0].sum()
    with torch.no_grad():
        {"input": x, "state": c_0, "parameter": lstm.bias_hh_l0}[changed].add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_checkpointing(torch, bridge) -> None:
    """Recomputed under torch.utils.checkpoint: the same masks, the same gradients."""
    from torch.utils.checkpoint import checkpoint

    lstm = bridge.LSTM(3, 4, 2, dropout=0.5)
    x = torch.randn(5, 2, 3, requires_grad=True)
    variables = [x, *lstm.parameters()]
    torch.manual_seed(8)
    expected = torch.autograd.grad(lstm(x)[0].sum(), variables)
    torch.manual_seed(8)
    output = checkpoint(lambda x: lstm(x)[0], x, use_reentrant=False)
    got = torch.autograd.grad(output.sum(), variables)
    assert all(map(torch.equal, got, expected))


def test_parameters_converted_before_a_second_pass(torch, bridge) -> None:
    lstm = bridge.LSTM(3, 4)
    loss = lstm(torch.randn(5, 2, 3))[0].sum()
    loss.backward(retain_graph=True)
    lstm.half()
    with pytest.raises(RuntimeError, match="converted since its forward pass"):
        loss.backward()


def test_gradients_only_where_they_are_wanted(torch, bridge) -> None:
    ours, theirs = pair(torch, bridge, 3, 4)
    x = torch.randn(5, 2, 3)
    for lstm in (ours, theirs):
        lstm.weight_ih_l0.requires_grad_(False)
        lstm(x)[1][1].sum().backward()
    assert ours.weight_ih_l0.grad is None
    torch.testing.assert_close(ours.bias_hh_l0.grad, theirs.bias_hh_l0.grad)
    for weight in ours.parameters():
        weight.requires_grad_(False)
    assert not ours(x)[0].requires_grad
    leaf = x.clone().requires_grad_()
    ours(leaf)[0].sum().backward()
    assert leaf.grad is not None


@pytest.mark.parametrize("layout", ["dense", "unbatched", "packed"])
@pytest.mark.parametrize("with_state", [False, True])
def test_double_backward_goes_through_torch(with_state, layout, torch, bridge) -> None:
    ours, theirs = pair(torch, bridge, 3, 4, 2, dropout=0.5, bidirectional=True, dtype="float64")
    torch.manual_seed(3)
    batch = () if layout == "unbatched" else (2,)
    shape = (4, 3) if layout == "packed" else (3, *batch, 3)
    x = torch.randn(*shape, dtype=torch.float64, requires_grad=True)
    state = torch.randn(4, *batch, 4, dtype=torch.float64, requires_grad=True)

    def twice(lstm):
        given = x
        if layout == "packed":
            indices = [torch.tensor(i) for i in ([2, 1, 1], [1, 0], [1, 0])]
            given = torch.nn.utils.rnn.PackedSequence(x, *indices)
        torch.manual_seed(4)
        results = flat(lstm(given, (state, state.tanh()) if with_state else None))
        loss = sum(r.pow(2).sum() for r in results)
        variables = [x, *([state] if with_state else []), *lstm.parameters()]
        once = torch.autograd.grad(loss, variables, create_graph=True)
        penalty = sum(g.pow(2).sum() for g in once)
        return [*once, *torch.autograd.grad(penalty, variables), torch.get_rng_state()]

    expected = twice(theirs)
    with pytest.warns(UserWarning, match="double backward"):
        got = twice(ours)
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b)
    twice(ours)  # says so once: a second warning would be an error


def test_gradients_in_batches_go_through_torch(torch, bridge) -> None:
    ours, theirs = pair(torch, bridge, 3, 4)
    x = torch.randn(5, 2, 3, requires_grad=True)
    grads = torch.randn(6, 5, 2, 4)
    (expected,) = torch.autograd.grad(theirs(x)[0], [x], grads, is_grads_batched=True)
    with pytest.warns(UserWarning, match="gradients in batches"):
        (got,) = torch.autograd.grad(ours(x)[0], [x], grads, is_grads_batched=True)
    torch.testing.assert_close(got, expected)
    assert not got.requires_grad


def test_a_handler_draws_masks_while_masks_are_drawn(torch, bridge) -> None:
    """Neither draws with the other's engine."""
    from lstm_native.bridges.torch import masks

    def drawn(engine, count=700):
        values = np.empty(count)
        engine.uniform(values, 0.0, 1.0)
        return values.tolist()

    def interrupted(engine):
        first = drawn(engine)
        masks.borrowed(lambda engine: drawn(engine, 300))  # fewer: elsewhere than this one is
        return first + drawn(engine)

    torch.manual_seed(5)
    expected, _ = masks.borrowed(lambda engine: drawn(engine) + drawn(engine))
    after = rng_state(torch)
    torch.manual_seed(5)
    assert masks.borrowed(interrupted)[0] == expected
    assert rng_state(torch) == after
