"""One run: data, model, the library's trainer, and what is left in the output folder."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from app.errors import AppError, GenerationError, OutOfMemoryError, SettingsError
from finetune.answers import Answerer
from finetune.checkpoint import copy_files, save_model, stored_dtype
from finetune.collate import Collator
from finetune.dataset import SampleDataset
from finetune.encoding import Encoder
from finetune.loading import Learner, compute_dtype, load_learner, shares_weights
from finetune.lora import count_parameters, fixed_weights, keep_fixed, prepare, training_of
from finetune.parsing import Arguments
from finetune.progress import Progress
from finetune.report import write_page
from finetune.samples import Sample, read_samples
from finetune.slices import configured_slices, write_slices

PAGE = "samples.html"
Say = Callable[[str], None]


class FineTuner(Trainer):
    """The library's trainer; it saves in the official layout.

    Args:
        source: the folder the model was loaded from.
        origin: what the user called it, that folder or its name on the hub.
        fixed: names of weights that never learn.
        slices: cells of an image at most.
    """

    def __init__(self, *args: Any, source: Path, origin: str, fixed: set[str], slices: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.source = source
        self.origin = origin
        self.fixed = fixed
        self.slices = slices
        smoother: Any = self.label_smoother  # type: ignore[has-type]
        if smoother is not None:
            # The library does this for its own language models, which it knows by name.
            self.label_smoother = partial(smoother, shift_labels=True)

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        target = Path(output_dir or self.args.output_dir)
        model = self.accelerator.unwrap_model(self.model)
        if isinstance(model, PeftModel):
            super()._save(str(target), state_dict)
            if self.args.should_save:
                copy_files(self.source, target, with_config=False)
        elif self.args.should_save:
            # Checkpoints are exact, so that the run can go on from them; the result is as the model was published.
            final = target == Path(self.args.output_dir)
            dtype = stored_dtype(self.source) if final else None
            save_model(model, self.source, target, dtype, state_dict, self.origin)
            write_slices(target, self.slices)
            torch.save(self.args, target / "training_args.bin")

    def _load_from_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_checkpoint(*args, **kwargs)
        keep_fixed(self.model, self.fixed)


class Pages(TrainerCallback):
    """After each evaluation, a page with the model's answers; in the main process, which must hold all weights."""

    def __init__(self, answerer: Answerer, samples: list[Sample]) -> None:
        self.answerer = answerer
        self.samples = samples

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Ask and write."""
        if state.is_world_process_zero and self.samples:
            title = f"Answers after step {state.global_step}"
            write_page(Path(args.output_dir) / PAGE, title, self.answerer.answer(self.samples))


def train(arguments: Arguments, say: Say, tell: Say) -> None:
    """Fine-tune as the arguments say; the result is in the output folder.

    Args:
        say: takes sentences for the user, which every process has; one of them prints.
        tell: takes what the process that says it alone has met.

    Raises:
        AppError: the data, the model or the flags cannot be used, or the run failed.
    """
    resume = checkpoint_to_resume(arguments)
    samples = read_samples(arguments.data.data_path or "", arguments.data.media_root)
    judged = _evaluation_samples(arguments)
    learner = load_learner(arguments)
    trainer = build_trainer(arguments, learner, samples, judged, say, tell)
    learning, total = count_parameters(trainer.model)
    say(f"{learner.family.name}: {learning:,} of {total:,} weights learn, from {len(samples):,} samples.")
    with _readable_failures():
        trainer.train(resume_from_checkpoint=resume)
        trainer.save_model()
        trainer.save_state()
        if trainer.eval_dataset is not None and not _evaluated(trainer.state):
            trainer.evaluate()
        met: SampleDataset = trainer.train_dataset
        met.add(trainer.accelerator.gather(met.met[None].to(trainer.accelerator.device)).cpu())
    if met.skipped:
        say(f"{len(met.skipped):,} samples were skipped; --check says what is wrong with them.")
    if met.shortened:
        say(f"{len(met.shortened):,} samples were shortened by {sum(met.shortened.values()):,} messages, the last of"
            " each; raise --model_max_length to learn them too.")  # fmt: skip
    say(f"Done: {arguments.training.output_dir} has the result, log.jsonl and loss.png.")


def build_trainer(
    arguments: Arguments, learner: Learner, samples: list[Sample], judged: list[Sample], say: Say, tell: Say
) -> FineTuner:
    """The trainer of a run.

    Args:
        learner: its model is changed: what learns, and the adapter.
        judged: samples to measure on; may be empty.
        say, tell: as for `train`.

    Raises:
        AppError: no sample can be used, or nothing would learn.
    """
    data, training = arguments.data, arguments.training

    def read(some: list[Sample]) -> SampleDataset:
        return SampleDataset(
            some,
            encoder,
            on_skip=lambda error: tell(f"Skipped: {error}"),
            at_once=lambda error: say(f"Skipped: {error}"),
            on_cut=lambda line, count: tell(f"Shortened: line {line}: the last {count} messages do not fit."),
        )

    length = min(data.model_max_length, learner.context)
    usual = configured_slices(learner.folder)
    slices = data.max_slice_nums or usual
    if slices != usual and arguments.lora.use_lora:
        say(f"An image is cut into at most {slices} cells; on the page set Max Slices to {slices} too, for the model"
            f" itself says {usual}.")  # fmt: skip
    encoder = Encoder(learner.processor, learner.family, length, slices)
    train_data, eval_data = read(samples), read(judged) if judged else None
    fixed = fixed_weights(learner.model)
    model = prepare(
        learner.model,
        training_of(learner.family),
        arguments.model,
        arguments.lora,
        fixed,
        exact=not shares_weights(training),
    )
    if training.world_size > 1 and training.ddp_find_unused_parameters is None:
        # A batch of text alone uses neither tower nor resampler.
        training.ddp_find_unused_parameters = True
    callbacks: list[TrainerCallback] = [Progress()]
    if judged and data.eval_samples > 0 and not shares_weights(training):
        answerer = Answerer(learner, slices, compute_dtype(training))
        callbacks.append(Pages(answerer, judged[: data.eval_samples]))
    trainer = FineTuner(
        model,
        training,
        data_collator=Collator(),
        train_dataset=train_data,
        eval_dataset=eval_data,
        callbacks=callbacks,
        source=learner.folder,
        origin=arguments.model.model_name_or_path,
        fixed=fixed,
        slices=slices,
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def checkpoint_to_resume(arguments: Arguments) -> str | None:
    """The checkpoint to go on from, if any.

    Raises:
        SettingsError: there is none to go on from, or the output folder has those of another run.
    """
    asked, output = arguments.training.resume_from_checkpoint, Path(arguments.training.output_dir)
    last = get_last_checkpoint(str(output)) if output.is_dir() else None
    if asked is None or re.fullmatch("(?i)false|no", asked):
        if last and not arguments.overwrite:
            raise SettingsError(
                f"{output} has checkpoints of another run.",
                "Go on with --resume_from_checkpoint true, start anew with --overwrite_output_dir, or choose another"
                " --output_dir.",
            )
        if arguments.training.process_index == 0:
            _put_aside(output)
        return None
    folder = last if re.fullmatch("(?i)true|yes|last", asked) else asked
    if folder is None:
        raise SettingsError(f"--resume_from_checkpoint: {output} has no checkpoint.", "Leave it out to start.")
    if not (Path(folder) / "trainer_state.json").is_file():
        raise SettingsError(f"--resume_from_checkpoint: {folder} is no checkpoint.", "Name a checkpoint-N folder.")
    return folder


def _put_aside(output: Path) -> None:
    """Rename the checkpoints of an earlier run: the last of a folder is that with the highest number."""
    for folder in output.glob("checkpoint-*") if output.is_dir() else []:
        other = folder.with_name(f"replaced-{folder.name}")
        shutil.rmtree(other, ignore_errors=True)
        folder.rename(other)


def _evaluation_samples(arguments: Arguments) -> list[Sample]:
    path = arguments.data.eval_data_path
    return read_samples(path, arguments.data.media_root) if path else []


def _evaluated(state: TrainerState) -> bool:
    """Whether the model as it is now was measured already."""
    return any("eval_loss" in row and row["step"] == state.global_step for row in state.log_history)


@contextmanager
def _readable_failures() -> Iterator[None]:
    """What the library raises in a run, as errors a user can read."""
    try:
        yield
    except AppError:
        raise
    except Exception as error:
        text = str(error).strip().splitlines()
        if isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "out of memory" in str(error).lower():
            raise OutOfMemoryError(
                "The device ran out of memory.",
                "Use --gradient_checkpointing true, a smaller --per_device_train_batch_size, --model_max_length or"
                " --max_slice_nums, --use_lora true or --q_lora true.",
            ) from error
        raise GenerationError(f"The run failed ({type(error).__name__}: {text[0] if text else ''}).") from error
