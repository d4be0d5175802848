"""The training loop: what every rank does, from joining the world to the exported model."""

from __future__ import annotations

import math
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import torch

from dolma_pipeline.errors import ConfigError, StageError
from dolma_pipeline.io import fs
from dolma_pipeline.io.atomic import write_json
from dolma_pipeline.train import hf
from dolma_pipeline.train.checkpoint import Checkpoints, Identity, TrainerState, sha256, step_name
from dolma_pipeline.train.config import TrainerConfig
from dolma_pipeline.train.data import Batches, Instances
from dolma_pipeline.train.evaluate import evaluate
from dolma_pipeline.train.metrics import NAME, RESULT, Evaluation, MetricsFile, Result, Row, energy, read_rows
from dolma_pipeline.train.model import IGNORED, Olmo, initialise
from dolma_pipeline.train.optimizer import make_optimizer, set_learning_rate
from dolma_pipeline.train.parallel import World, clip_gradients, join_world, shard_model
from dolma_pipeline.train.schedule import learning_rate
from dolma_pipeline.train.targets import make_batch

CHECKPOINTS = "checkpoints"
MAX_SKIPPED = 10
"""Updates skipped in a row, for a loss or gradient that is not finite, before the run gives up."""
STOPPED = 75
"""Exit status of a run that was asked to stop, and did with a checkpoint (EX_TEMPFAIL: run it again to go on)."""


def train(config: TrainerConfig) -> bool:
    """Trains, going on from the newest checkpoint in `config.output`; False if a signal stopped it before the end.

    Called on all ranks. Raises ConfigError, DataError and StageError.
    """
    with join_world(config.hardware) as world, _stop_requests() as stop:
        return Trainer(config, world, stop).run()


class StopRequest:
    """Set by SIGTERM or SIGINT: save, then leave."""

    def __init__(self) -> None:
        self.received = False

    def receive(self, number: int, frame: FrameType | None) -> None:
        self.received = True


@contextmanager
def _stop_requests() -> Iterator[StopRequest]:
    request = StopRequest()
    old = {number: signal.signal(number, request.receive) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield request
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


class Trainer:
    """A run on its way: the model, its optimizer, and the step they are at."""

    def __init__(self, config: TrainerConfig, world: World, stop: StopRequest) -> None:
        self.config = config
        self.world = world
        self.stop = stop
        self.output = Path(config.output)
        self.instances = Instances(config.tokens, config.sequence_length)
        self.validation = self._open_validation()
        self.batches = Batches(len(self.instances), config.batch_size, config.seed, drop_last=config.drop_last)
        if config.batch_size % world.size:
            lower = config.batch_size // world.size * world.size
            raise ConfigError(
                f"a batch of {config.batch_size} instances cannot be shared evenly by {world.size} ranks - at "
                f"`$.batch_size`; {max(lower, world.size)} or {lower + world.size} can"
            )
        manifest = self.instances.manifest
        self.identity = Identity(
            model=config.model,
            vocab_size=manifest.vocab_size,
            tokens=sha256(Path(config.tokens) / "manifest.json"),
            sequence_length=config.sequence_length,
            batch_size=config.batch_size,
            drop_last=config.drop_last,
            seed=config.seed,
        )
        self.checkpoints = Checkpoints(self.output / CHECKPOINTS, config.keep_checkpoints, world)
        with torch.device("meta"):
            checkpointing = config.hardware.activation_checkpointing
            self.model = Olmo(config.model, manifest.vocab_size, activation_checkpointing=checkpointing)
        shard_model(self.model, world, config.hardware)
        self.model.to_empty(device=world.device)
        self.optimizer = make_optimizer(self.model, config.optimization)
        self.step = 0
        self.tokens = 0
        self.skipped_in_a_row = 0
        self.say(
            f"{config.model.parameters(manifest.vocab_size):,} parameters on {world.size} x {world.device.type}; "
            f"{len(self.instances):,} instances of {config.sequence_length} tokens, {self.batches.per_epoch:,} batches "
            f"an epoch"
        )

    def _open_validation(self) -> Instances | None:
        if self.config.validation is None:
            return None
        held_out = Instances(self.config.validation, self.config.sequence_length)
        ours, theirs = self.instances.manifest, held_out.manifest
        if (ours.tokenizer, ours.vocab_size) != (theirs.tokenizer, theirs.vocab_size):
            raise ConfigError(
                f"{self.config.validation} was not made with the tokenizer of {self.config.tokens}: expected "
                f"{ours.tokenizer} of {ours.vocab_size:,} ids, found {theirs.tokenizer} of {theirs.vocab_size:,}"
            )
        return held_out

    def say(self, text: str) -> None:
        if self.world.first:
            print(text, file=sys.stderr, flush=True)

    def run(self) -> bool:
        self._begin()
        with self._open_metrics() as metrics:
            while self.step < self.config.steps:
                row, stopping = self._train_step()
                done = self.step == self.config.steps
                if self.validation is not None and (done or self.step % self.config.evaluate_every == 0):
                    self._evaluate(row, self.validation)
                if metrics is not None:
                    metrics.write(row)
                if self.step % self.config.log_every == 0 or done or self.step == 1:
                    self.say(_line(row, self.config.steps))
                if done or stopping or self.step % self.config.checkpoint_every == 0:
                    self._save()
                if stopping and not done:
                    self.say(f"stopped at step {self.step} with a checkpoint; run again to go on")
                    return False
        self._finish()
        return True

    def _begin(self) -> None:
        newest = self.checkpoints.newest(self.identity)
        if newest is None:
            if self.config.start_from is None:
                initialise(self.model, self.config.seed)
            else:
                hf.load_hf(self.model, Path(self.config.start_from))
            return
        path, state, problems = newest
        for problem in problems:
            self.say(f"a checkpoint that is not whole: {problem}")
        if state.step > self.config.steps:
            raise ConfigError(
                f"{path} is at step {state.step:,}, past the {self.config.steps:,} steps of this run; set steps to at "
                f"least {state.step}, or choose another output directory"
            )
        self.checkpoints.load(self.model, self.optimizer, path)
        self.step = state.step
        self.tokens = state.step * self.config.batch_size * self.config.sequence_length
        self.say(f"resumed at step {self.step} from {path}")

    @contextmanager
    def _open_metrics(self) -> Iterator[MetricsFile | None]:
        if not self.world.first:
            yield None
            return
        fs.make_directories(self.output)
        with MetricsFile(self.output / NAME, self.step) as metrics:
            yield metrics

    def _train_step(self) -> tuple[Row, bool]:
        """One update, and whether any rank was asked to stop."""
        started = time.perf_counter()
        config, world = self.config, self.world
        self.step += 1
        rate = learning_rate(self.step, config.steps, config.optimization)
        set_learning_rate(self.optimizer, rate)
        part = self.batches.part(self.step, world.rank, world.size)
        tokens, targets = make_batch(self.instances, part, world.device)
        (count,) = world.sum(int((targets != IGNORED).sum()))
        total = torch.zeros((), dtype=torch.float64, device=world.device)
        for start in range(0, len(part), config.microbatch_size):
            rows = slice(start, start + config.microbatch_size)
            # Divided by the count of the whole batch, gradients add up to those of its mean, however it is shared out.
            loss = self.model(tokens[rows], targets[rows]) / max(1.0, count)
            loss.backward()
            total += loss.detach().double()
        mean, stopping = world.sum(float(total), self.stop.received)
        norm = clip_gradients(self.model, config.optimization.max_grad_norm)
        finite = math.isfinite(mean) and math.isfinite(norm)
        if finite:
            self.optimizer.step()
        self.optimizer.zero_grad()
        self._count_skipped(finite, mean, norm)
        self.tokens += config.batch_size * config.sequence_length
        seconds = time.perf_counter() - started
        row = Row(
            step=self.step,
            loss=mean if math.isfinite(mean) else None,
            lr=rate,
            grad_norm=norm if math.isfinite(norm) else None,
            tokens=self.tokens,
            learnt=int(count) if self.instances.masked else None,
            skipped=not finite,
            seconds=seconds,
            tokens_per_second=config.batch_size * config.sequence_length / seconds,
        )
        return row, stopping > 0

    def _count_skipped(self, finite: bool, loss: float, norm: float) -> None:
        self.skipped_in_a_row = 0 if finite else self.skipped_in_a_row + 1
        if self.skipped_in_a_row >= MAX_SKIPPED:
            raise StageError(
                f"step {self.step}: loss {loss}, gradient norm {norm}, and so for {MAX_SKIPPED} steps in a row; go on "
                f"from an earlier checkpoint in {self.checkpoints.directory} with a lower learning rate"
            )

    def _evaluate(self, row: Row, held_out: Instances) -> None:
        found = evaluate(self.model, held_out, self.config.microbatch_size, self.world)
        row.validation_loss = found.loss
        row.perplexity = found.perplexity
        row.bits_per_byte = found.bits_per_byte
        row.validation_tokens = found.tokens

    def _save(self) -> None:
        self.checkpoints.save(self.model, self.optimizer, TrainerState(step=self.step, identity=self.identity))

    def _finish(self) -> None:
        """Writes the export and then the result, from what is on disk, so that a run killed here can still end."""
        if self.world.first:
            checkpoint = self.output / CHECKPOINTS / step_name(self.step)
            exported: list[Path] = []
            if self.config.export_hf:
                exported = hf.export_hf(checkpoint, Path(self.config.tokens), self.output / "hf")
            rows = read_rows(self.output / NAME)
            last = rows[-1] if rows else None
            seconds = sum(row.seconds for row in rows)
            hardware = self.config.hardware
            used = energy(seconds, hardware.watts, hardware.pue, hardware.carbon_intensity)
            result = Result(
                checkpoint=str(checkpoint.relative_to(self.output)),
                exported=[str(path.relative_to(self.output)) for path in exported],
                parameters=self.config.model.parameters(self.identity.vocab_size),
                final_loss=last.loss if last else None,
                validation=_validation(last),
                tokens_per_second=self.tokens / seconds if seconds else 0.0,
                energy=used if hardware.watts else None,
            )
            write_json(self.output / RESULT, result)
        self.world.barrier()


def _validation(row: Row | None) -> Evaluation | None:
    if row is None or row.validation_loss is None or row.perplexity is None:
        return None
    return Evaluation(
        loss=row.validation_loss,
        perplexity=row.perplexity,
        bits_per_byte=row.bits_per_byte,
        tokens=row.validation_tokens or 0,
    )


def _line(row: Row, steps: int) -> str:
    loss = "not finite" if row.loss is None else f"{row.loss:.4f}"
    norm = "not finite" if row.grad_norm is None else f"{row.grad_norm:.3f}"
    line = f"step {row.step}/{steps}  loss {loss}  lr {row.lr:.2e}  grad norm {norm}  {row.tokens_per_second:,.0f} tokens/s"  # noqa: E501
    if row.perplexity is not None:
        line += f"  held-out perplexity {row.perplexity:.2f}"
    return line
