"""Comparing an LSTM of the torch bridge with torch's own: what its test files share.

Must not import torch, which the tests pass in.
"""


def plain(torch, lstm):
    """Return torch's own LSTM with copies of the weights that `lstm` has now."""
    names = ("num_layers", "bias", "batch_first", "dropout", "bidirectional", "proj_size")
    options = {name: getattr(lstm, name) for name in names}
    theirs = torch.nn.LSTM(lstm.input_size, lstm.hidden_size, **options)
    theirs = theirs.to(lstm.weight_ih_l0.dtype).train(lstm.training)
    with torch.no_grad():
        for name, weight in theirs.named_parameters():
            weight.copy_(getattr(lstm, name))
    return theirs


def agree(torch, lstm, like=None):
    """Compare with torch: a call for inference, a call with gradients, the gradients."""
    theirs = plain(torch, lstm) if like is None else like
    weight = lstm.weight_hh_l0
    x = torch.randn(3, 2, lstm.input_size, dtype=weight.dtype)
    with torch.no_grad():
        torch.testing.assert_close(lstm(x), theirs(x))
    torch.testing.assert_close(lstm(x), theirs(x))
    if isinstance(weight, torch.nn.Parameter):
        (got,) = torch.autograd.grad(lstm(x)[0].sum(), [weight])
        (expected,) = torch.autograd.grad(theirs(x)[0].sum(), [theirs.weight_hh_l0])
        torch.testing.assert_close(got, expected)


def read_in_place(lstm):
    return lstm._memory.holds(list(lstm.parameters()))
