"""Running statistics: those of all that was seen, as SB3 counts them."""

import numpy as np
import torch
from nervecord.agents.normalizer import Normalizer
from nervecord.agents.places import ResampledNormalizer
from nervecord.envs import EnvBatch
from stable_baselines3.common.running_mean_std import RunningMeanStd


def test_statistics_of_batches_are_those_of_all_that_was_seen_and_sb3s():
    rng = np.random.default_rng(0)
    batches = [rng.normal(mean, 1 + mean, (many, 3)) for mean, many in ((0, 40), (5, 1), (2, 300))]
    ours, theirs = Normalizer(3), RunningMeanStd(shape=(3,))
    for batch in batches:
        ours.update(batch)
        theirs.update(batch)
    assert np.array_equal(ours.mean.numpy(), theirs.mean)
    assert np.array_equal(ours.var.numpy(), theirs.var)
    seen = np.concatenate(batches)
    # A ten-thousandth of an observation of 0 with a variance of 1 was counted before any.
    np.testing.assert_allclose(ours.mean, seen.mean(0), rtol=1e-5)
    np.testing.assert_allclose(ours.var, seen.var(0), rtol=1e-5)
    shown = ours(torch.as_tensor(seen))
    np.testing.assert_allclose(shown, ((seen - seen.mean(0)) / seen.std(0)).clip(-10, 10), atol=1e-4)


def test_frozen_statistics_stay():
    normalizer = Normalizer(2)
    normalizer.update(np.ones((4, 2)))
    before = normalizer.to_json()
    normalizer.frozen = True
    normalizer.update(np.zeros((4, 2)))
    assert normalizer.to_json() == before


def test_statistics_along_another_body_are_clipped_and_told_as_the_bodys_own():
    here, there = (EnvBatch("swim", 1, body=body).layout for body in ("swimmer4", "swimmer8"))
    shared = Normalizer(here.size)
    shared.update(np.random.default_rng(0).normal(1, 2, (50, here.size)))
    shared.load_json({**shared.to_json(), "clip": 0.5, "epsilon": 0.25})
    resampled = ResampledNormalizer(shared, here, there)
    told = resampled.to_json()
    assert (told["count"], told["clip"], told["epsilon"]) == (float(shared.count), 0.5, 0.25)
    assert len(told["mean"]) == there.size
    assert resampled(torch.full((there.size,), 100.0)).tolist() == [0.5] * there.size
