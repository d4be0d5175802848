"""The learning rate as a pure function of the step, so that a resumed run needs no state."""

from __future__ import annotations

import math

from dolma_pipeline.train.config import Optimization


def learning_rate(step: int, steps: int, config: Optimization) -> float:
    """The rate of update number `step`, from 1 to `steps`; OLMo's closed forms.

    It rises linearly from `warmup_from` of the peak (step 0) to the peak at `warmup_steps`, then falls to
    `final_fraction` of it at `steps`, and stays there.
    """
    peak = config.learning_rate
    if step < config.warmup_steps:
        low = peak * config.warmup_from
        return low + (peak - low) * step / config.warmup_steps
    if config.schedule == "constant":
        return peak
    final = peak * config.final_fraction
    if step >= steps:
        return final
    progress = (step - config.warmup_steps) / (steps - config.warmup_steps)
    if config.schedule == "linear":
        return peak - (peak - final) * progress
    return final + (peak - final) * (1 + math.cos(math.pi * progress)) / 2
