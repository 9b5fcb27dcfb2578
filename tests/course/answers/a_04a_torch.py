"""Answers to the exercises of 04a."""

import torch

from . import right, wrong

SSD = "04a_torch-batched-ssd"
DECODE = "04a_torch-decode-cache"


def _segsum(a):
    """Sums of all segments, for a (…, N)."""
    N = a.shape[-1]
    rows = a[..., None].expand(*a.shape, N)
    below = torch.ones(N, N, dtype=torch.bool).tril(-1)
    sums = rows.masked_fill(~below, 0).cumsum(-2)
    return sums.masked_fill(~torch.ones(N, N, dtype=torch.bool).tril(), -torch.inf)


@right(SSD)
def groups_as_an_axis(x, log_a, B, C):
    G = B.shape[2]
    x = x.unflatten(2, (G, -1))
    L = torch.exp(_segsum(log_a.movedim(1, -1))).unflatten(1, (G, -1))
    return torch.einsum("bghij,bign,bjgn,bjghd->bighd", L, C, B, x).flatten(2, 3)


@wrong(SSD, "heads are dealt out to the groups in turn, h % groups")
def groups_repeated_in_turn(x, log_a, B, C):
    r = x.shape[2] // B.shape[2]
    B, C = B.repeat(1, 1, r, 1), C.repeat(1, 1, r, 1)
    L = torch.exp(_segsum(log_a.movedim(1, -1)))
    return torch.einsum("bhij,bihn,bjhn,bjhd->bihd", L, C, B, x)


@wrong(SSD, "the mask comes after exp")
def cumulative_sums_subtracted(x, log_a, B, C):
    r = x.shape[2] // B.shape[2]
    B, C = B.repeat_interleave(r, 2), C.repeat_interleave(r, 2)
    c = log_a.movedim(1, -1).cumsum(-1)
    L = torch.exp(c[..., :, None] - c[..., None, :]).tril()
    return torch.einsum("bhij,bihn,bjhn,bjhd->bihd", L, C, B, x)


@wrong(SSD, "y is cut off from its inputs")
def no_gradient(x, log_a, B, C):
    with torch.no_grad():
        return groups_as_an_axis(x, log_a, B, C)


@wrong(SSD, "the decays are cut off from the gradient")
def detached_through_numpy(x, log_a, B, C):
    L = torch.tensor(torch.exp(_segsum(log_a.detach().movedim(1, -1))).numpy())
    r = x.shape[2] // B.shape[2]
    B, C = B.repeat_interleave(r, 2), C.repeat_interleave(r, 2)
    return torch.einsum("bhij,bihn,bjhn,bjhd->bihd", L, C, B, x)


@wrong(SSD, "there is no mask")
def mask_forgotten(x, log_a, B, C):
    r = x.shape[2] // B.shape[2]
    B, C = B.repeat_interleave(r, 2), C.repeat_interleave(r, 2)
    return torch.einsum("bihn,bjhn,bjhd->bihd", C, B, x)


@wrong(SSD, "the decay is missing")
def decay_forgotten(x, log_a, B, C):
    r, N = x.shape[2] // B.shape[2], x.shape[1]
    B, C = B.repeat_interleave(r, 2), C.repeat_interleave(r, 2)
    return torch.einsum("ij,bihn,bjhn,bjhd->bihd", torch.ones(N, N, dtype=x.dtype).tril(), C, B, x)


@wrong(SSD, "")
def heads_not_in_groups(x, log_a, B, C):
    L = torch.exp(_segsum(log_a.movedim(1, -1)))
    return torch.einsum("bhij,bihn,bjhn,bjhd->bihd", L, C, B, x)


@wrong(SSD, "B and C have changed places")
def roles_swapped(x, log_a, B, C):
    return groups_as_an_axis(x, log_a, C, B)


@wrong(SSD, "this was computed in float32")
def in_single_precision(x, log_a, B, C):
    return groups_as_an_axis(x.float(), log_a.float(), B.float(), C.float())


@wrong(SSD, "every head uses the first group")
def first_group_for_all(x, log_a, B, C):
    L = torch.exp(_segsum(log_a.movedim(1, -1)))
    return torch.einsum("bhij,bin,bjn,bjhd->bihd", L, C[:, :, 0], B[:, :, 0], x)


@wrong(SSD, "the mask is off by one")
def own_decay_counted(x, log_a, B, C):
    return groups_as_an_axis(x * log_a.exp()[..., None], log_a, B, C)


@right(DECODE)
def window_by_concatenation(u_t, log_a_t, B_t, C_t, weight, cache):
    window, S = cache
    full = torch.cat([window, u_t.unsqueeze(1)], 1)
    x = torch.einsum("whd,bwhd->bhd", weight, full)
    S = S * log_a_t.exp()[..., None, None] + torch.einsum("bhn,bhd->bhnd", B_t, x)
    return torch.einsum("bhn,bhnd->bhd", C_t, S), [full[:, 1:].clone(), S]


@wrong(DECODE, "the cache is changed in place")
def cache_changed_in_place(u_t, log_a_t, B_t, C_t, weight, cache):
    window, S = cache
    full = torch.cat([window, u_t[:, None]], 1)
    x = (weight * full).sum(1)
    S *= log_a_t.exp()[..., None, None]
    S += B_t[..., None] * x[..., None, :]
    return (C_t[..., None] * S).sum(-2), (full[:, 1:], S)


@wrong(DECODE, "the cache is changed in place")
def window_rolled_in_place(u_t, log_a_t, B_t, C_t, weight, cache):
    window, S = cache
    x = (weight * torch.cat([window, u_t[:, None]], 1)).sum(1)
    if window.shape[1]:
        window[:, :-1] = window[:, 1:].clone()
        window[:, -1] = u_t
    S = log_a_t.exp()[..., None, None] * S + B_t[..., None] * x[..., None, :]
    return (C_t[..., None] * S).sum(-2), (window, S)


@wrong(DECODE, "the weights are in the wrong order")
def weights_backwards(u_t, log_a_t, B_t, C_t, weight, cache):
    window, S = cache
    full = torch.cat([window, u_t[:, None]], 1)
    x = (weight.flip(0) * full).sum(1)
    S = log_a_t.exp()[..., None, None] * S + B_t[..., None] * x[..., None, :]
    return (C_t[..., None] * S).sum(-2), (full[:, 1:], S)


@wrong(DECODE, "the window keeps what came out of the convolution")
def window_of_convolved_tokens(u_t, log_a_t, B_t, C_t, weight, cache):
    window, S = cache
    x = (weight * torch.cat([window, u_t[:, None]], 1)).sum(1)
    S = log_a_t.exp()[..., None, None] * S + B_t[..., None] * x[..., None, :]
    return (C_t[..., None] * S).sum(-2), (torch.cat([window, x[:, None]], 1)[:, 1:], S)


@wrong(DECODE, "the window grows")
def window_that_grows(u_t, log_a_t, B_t, C_t, weight, cache):
    window, S = cache
    full = torch.cat([window, u_t[:, None]], 1)
    x = (weight * full).sum(1)
    S = log_a_t.exp()[..., None, None] * S + B_t[..., None] * x[..., None, :]
    return (C_t[..., None] * S).sum(-2), (full, S)


@wrong(DECODE, "the window does not move on")
def window_not_moved(u_t, log_a_t, B_t, C_t, weight, cache):
    window, S = cache
    x = (weight * torch.cat([window, u_t[:, None]], 1)).sum(1)
    S = log_a_t.exp()[..., None, None] * S + B_t[..., None] * x[..., None, :]
    return (C_t[..., None] * S).sum(-2), (window, S)


@wrong(DECODE, "nothing is convolved")
def convolution_skipped(u_t, log_a_t, B_t, C_t, weight, cache):
    window, S = cache
    full = torch.cat([window, u_t[:, None]], 1)
    S = log_a_t.exp()[..., None, None] * S + B_t[..., None] * u_t[..., None, :]
    return (C_t[..., None] * S).sum(-2), (full[:, 1:], S)


@wrong(DECODE, "the log is used as the decay")
def log_not_exponentiated(u_t, log_a_t, B_t, C_t, weight, cache):
    window, S = cache
    full = torch.cat([window, u_t[:, None]], 1)
    x = (weight * full).sum(1)
    S = log_a_t[..., None, None] * S + B_t[..., None] * x[..., None, :]
    return (C_t[..., None] * S).sum(-2), (full[:, 1:], S)


@wrong(DECODE, "the state is read before the token is written")
def read_before_the_update(u_t, log_a_t, B_t, C_t, weight, cache):
    window, S = cache
    full = torch.cat([window, u_t[:, None]], 1)
    x = (weight * full).sum(1)
    y = (C_t[..., None] * S).sum(-2)
    S = log_a_t.exp()[..., None, None] * S + B_t[..., None] * x[..., None, :]
    return y, (full[:, 1:], S)


@wrong(DECODE, "the newest token stands first in the window")
def newest_token_first(u_t, log_a_t, B_t, C_t, weight, cache):
    window, S = cache
    full = torch.cat([u_t[:, None], window], 1)
    x = (weight * full).sum(1)
    S = log_a_t.exp()[..., None, None] * S + B_t[..., None] * x[..., None, :]
    return (C_t[..., None] * S).sum(-2), (full[:, :-1], S)
