"""The calls that the torch bridge leaves to torch, what it says of them, and its errors."""

import warnings
from importlib.util import find_spec

import numpy as np
import pytest

from bridged import agree, plain, read_in_place

# pytest imports the class that a filter names, even for a test that is skipped.
TRACER = ["ignore::torch.jit.TracerWarning"] if find_spec("torch") else []
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning", *TRACER)


@pytest.fixture
def bridge(torch):
    torch.manual_seed(0)
    return pytest.importorskip("lstm_native.bridges.torch")


# --- left to torch ---


def halves(torch, lstm, x):
    lstm.half()(x.half())


def brain_floats(torch, lstm, x):
    lstm.bfloat16()(x.bfloat16())


def meta(torch, lstm, x):
    lstm.to("meta")(x.to("meta"))


def autocast(torch, lstm, x):
    with torch.autocast("cpu"):
        assert lstm(x)[0].dtype is torch.bfloat16


def forward_mode(torch, lstm, x):
    from torch.autograd import forward_ad

    lstm.double()  # torch's float32 kernel has no forward mode
    with forward_ad.dual_level():
        output, _ = lstm(forward_ad.make_dual(x.double(), x.double()))
        assert forward_ad.unpack_dual(output).tangent is not None


def func_grad(torch, lstm, x):
    torch.func.grad(lambda x: lstm(x)[0].sum())(x)


def traced(torch, lstm, x):
    other = torch.randn(3, 2, 3)
    torch.testing.assert_close(torch.jit.trace(lstm, (x,))(other), plain(torch, lstm)(other))


def a_subclass(torch, lstm, x):
    lstm(x.as_subclass(type("Mine", (torch.Tensor,), {})))


def dispatch_mode(torch, lstm, x):
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False):
        lstm(x)


FALLBACKS = {
    halves: "a parameter is of torch.float16",
    brain_floats: "a parameter is of torch.bfloat16",
    meta: "a parameter is on meta",
    autocast: "autocast",
    forward_mode: "forward-mode differentiation",
    func_grad: "a transform of torch.func",
    traced: "the call is being traced",
    a_subclass: "an argument is a Mine",
    dispatch_mode: "a torch dispatch mode",
}


@pytest.mark.parametrize("call", FALLBACKS, ids=lambda f: f.__name__)
@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_torch_runs_the_rest_and_it_is_said_once(call, torch, bridge) -> None:
    lstm = bridge.LSTM(3, 4)
    x = torch.randn(3, 2, 3)
    text = f"torch's own LSTM runs in place of lstm_native's: {FALLBACKS[call]}"
    with pytest.warns(UserWarning, match=text):
        call(torch, lstm, x)
    call(torch, lstm, x)
    if call not in (halves, brain_floats, meta):
        agree(torch, lstm)


def test_script_compiles_torchs_own(torch, bridge) -> None:
    model = torch.nn.Sequential(bridge.LSTM(3, 4))
    lstm = model[0]
    scripted = torch.jit.script(model)
    x = torch.randn(3, 2, 3)
    torch.testing.assert_close(scripted(x), plain(torch, lstm)(x))
    assert type(lstm) is bridge.LSTM
    assert read_in_place(lstm)


def test_compile(torch, bridge) -> None:
    """The graph breaks at an LSTM, ours as torch's own; the call itself is ours."""
    lstm = bridge.LSTM(3, 4)
    model = torch.compile(torch.nn.Sequential(torch.nn.Linear(3, 3), lstm), backend="eager")
    x = torch.randn(3, 2, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        got = model(x)
    torch.testing.assert_close(got, lstm(model._orig_mod[0](x)))


# --- errors ---


WRONG = {
    "features": lambda torch: (torch.zeros(3, 2, 5), None),
    "rank": lambda torch: (torch.zeros(3), None),
    "dtype": lambda torch: (torch.zeros(3, 2, 3, dtype=torch.float64), None),
    "no steps": lambda torch: (torch.zeros(0, 2, 3), None),
    "rank of a state": lambda torch: (torch.zeros(3, 2, 3), (torch.zeros(1, 4),) * 2),
    "size of h_0": lambda torch: (torch.zeros(3, 2, 3), (torch.zeros(1, 3, 4),) * 2),
    "size of c_0": lambda torch: (torch.zeros(3, 2, 3), (torch.zeros(1, 2, 4), torch.zeros(1))),
    "an array": lambda torch: (np.zeros((3, 2, 3), np.float32), None),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_errors_are_torchs(case, torch, bridge) -> None:
    lstm = bridge.LSTM(3, 4)
    arguments = WRONG[case](torch)
    with pytest.raises(Exception) as expected:  # noqa: PT011 - compared below
        plain(torch, lstm)(*arguments)
    with pytest.raises(expected.type) as got:
        lstm(*arguments)
    assert str(got.value) == str(expected.value)


def test_packed_input_of_wrong_sizes_is_refused(torch, bridge) -> None:
    """torch reads past the end here (pytorch#195803)."""
    lstm = bridge.LSTM(3, 4)
    rnn = torch.nn.utils.rnn
    with pytest.raises(RuntimeError, match="must be equal to input_size"):
        lstm(rnn.pack_sequence([torch.zeros(2, 5)]))
    with pytest.raises(ValueError, match="sum of batch_sizes"):
        lstm(rnn.PackedSequence(torch.zeros(3, 3), torch.tensor([4])))
    with pytest.raises(RuntimeError, match=r"Expected hidden\[0\] size"):
        lstm(rnn.pack_sequence([torch.zeros(2, 3)]), (torch.zeros(1, 2, 4), torch.zeros(1, 2, 4)))
