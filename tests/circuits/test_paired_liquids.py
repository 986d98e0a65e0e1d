"""Two liquids with a common code: the loss against its closed forms, and codes of movements never heard."""

import math

import pytest
import torch
from nervecord.circuits import PairedLiquids
from nervecord.circuits.liquid.paired import _of_their_kind, contrastive_loss
from nervecord.errors import CircuitMismatch

N, STEPS = 8, 60


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_codes_that_are_all_alike_tell_nothing():
    alike = torch.nn.functional.normalize(torch.ones(N, 5), dim=-1)
    for temperature in (0.1, 1.0):
        assert contrastive_loss(alike, alike, temperature) == pytest.approx(math.log(N), abs=1e-6)


@pytest.mark.parametrize("temperature", [0.1, 1.0])
@pytest.mark.parametrize("cosine", [-1 / (N - 1), 0.0, 0.7])
def test_the_loss_of_pairs_that_are_alike_among_others_of_one_cosine_has_a_closed_form(cosine, temperature):
    products = torch.full((N, N), cosine, dtype=torch.float64).fill_diagonal_(1)
    values, vectors = torch.linalg.eigh(products)
    codes = vectors * values.clamp(min=0).sqrt()
    wanted = math.log(1 + (N - 1) * math.exp((cosine - 1) / temperature))
    assert float(contrastive_loss(codes, codes, temperature)) == pytest.approx(wanted, abs=1e-9)


def test_the_loss_is_the_same_with_the_senses_exchanged_and_with_windows_in_another_order():
    one, other = torch.nn.functional.normalize(torch.randn(2, N, 5, dtype=torch.float64, generator=rng()), dim=-1)
    order = torch.randperm(N, generator=rng(1))
    loss = contrastive_loss(one, other)
    torch.testing.assert_close(contrastive_loss(other, one), loss)
    torch.testing.assert_close(contrastive_loss(one[order], other[order]), loss)
    assert (contrastive_loss(one, other[order]) - loss).abs() > 1e-3


def movements(kinds: range, each: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Windows of oscillations that differ in period and phase lag, as two senses see them, and their kinds."""
    draw, kind = rng(seed), torch.tensor(list(kinds)).repeat_interleave(each)
    time = torch.arange(STEPS)[:, None]
    phase = 2 * math.pi * (time / (10 + 3 * kind) + torch.rand(len(kind), generator=draw))
    lags = torch.arange(4) * (0.3 + 0.2 * (kind % 3))[:, None]
    joints = torch.sin(phase[..., None] - lags) + 0.1 * torch.randn(STEPS, len(kind), 4, generator=draw)
    speeds = 3 + 2 * torch.cos(phase[..., None] - lags[:, :3]) + 0.1 * torch.randn(STEPS, len(kind), 3, generator=draw)
    return joints, speeds, kind


def test_movements_of_kinds_never_heard_are_told_in_one_sense_by_what_they_are_in_the_other():
    paired = PairedLiquids((4, 3), units=100, rng=rng())
    joints, speeds, _ = movements(range(1, 8), 20, 1)
    losses = paired.organise(joints, speeds, rng=rng(2))
    assert losses[-1] < 0.7 * losses[0]
    joints, speeds, kind = movements(range(8, 10), 50, 3)
    with torch.no_grad():
        known, asked = paired(1, speeds), paired(0, joints)
    torch.testing.assert_close(asked.norm(dim=-1), torch.ones(100))
    prototypes = torch.stack([known[kind == each].mean(0) for each in (8, 9)])
    assert float(((asked @ prototypes.t()).argmax(-1) + 8 == kind).float().mean()) > 0.8
    untrained = PairedLiquids((4, 3), units=100, rng=rng())
    with torch.no_grad():
        chance = (untrained(0, joints) @ untrained(1, speeds).t()).argmax(-1)
        right = (asked @ known.t()).argmax(-1)
    assert (kind[right] == kind).float().mean() > (kind[chance] == kind).float().mean()


def test_learners_would_move_the_projections_alone_and_liquids_are_loaded_with_them():
    paired, other = PairedLiquids((4, 3), units=20, rng=rng()), PairedLiquids((4, 3), units=20, rng=rng(1))
    assert {name.split(".")[0] for name, _ in paired.named_parameters()} == {"projections"}
    joints, speeds, _ = movements(range(1, 4), 5, 1)
    liquids = {name: value.clone() for name, value in paired.named_buffers() if name.startswith("liquids")}
    paired.organise(joints, speeds, updates=3)
    assert all(torch.equal(value, liquids[name]) for name, value in paired.named_buffers() if name in liquids)
    assert torch.allclose(paired.mean1, speeds.flatten(0, 1).mean(0))
    other.load_state_dict(paired.state_dict())
    assert torch.equal(other(0, joints), paired(0, joints))


def test_windows_are_paired_within_their_kind_each_once():
    kinds = torch.tensor([3, 1, 1, 3, 2, 1, 3, 3])
    found = [_of_their_kind(kinds, rng(seed)) for seed in range(20)]
    for partners in found:
        assert torch.equal(kinds[partners], kinds)
        assert torch.equal(partners.sort()[0], torch.arange(8))
    assert {tuple(partners[:1].tolist()) for partners in found} == {(0,), (3,), (6,), (7,)}


def test_the_same_seeds_give_the_same_codes():
    joints, speeds, _ = movements(range(1, 4), 5, 1)
    found = []
    for _ in range(2):
        paired = PairedLiquids((4, 3), units=20, rng=rng())
        paired.organise(joints, speeds, updates=3, rng=rng(1))
        found.append(paired(1, speeds))
    assert torch.equal(*found)


def test_mistakes_are_one_line():
    for sizes, options, message in (
        ((0, 3), {}, "a liquid without input never fires"),
        ((4, 3), {"units": 0}, "units is 0"),
        ((4, 3), {"code": 0}, "code 0; give 1 or more"),
    ):
        with pytest.raises(CircuitMismatch, match=message):
            PairedLiquids(sizes, **options)
    paired, (joints, speeds, _) = PairedLiquids((4, 3), units=20, rng=rng()), movements(range(1, 4), 5, 1)
    for arguments, message in (
        ((joints, speeds[:, 1:]), "there are 15 and 14 windows"),
        ((joints[:, :1], speeds[:, :1]), "there are 1 and 1 windows; give two or more"),
        ((joints, speeds * torch.nan), "not all finite"),
        ((joints, speeds, torch.zeros(3, dtype=torch.long)), "kinds has 3 values for 15 windows"),
        ((joints, speeds, None, 0.0), "temperature is 0.0; give a number above 0"),
    ):
        with pytest.raises(CircuitMismatch, match=message):
            paired.organise(*arguments)
