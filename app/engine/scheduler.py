"""The library's scheduler of continuous batching on one of our language models.

What a step computes can be recorded (`--compile`) only if it is the same for all steps. So what is not stands around
it: the embedding before, for pictures come and go, and each request's own choice of its token behind.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import torch
from transformers import ContinuousBatchingConfig, GenerationConfig, LogitsProcessorList
from transformers.generation.continuous_batching import ContinuousBatchingManager
from transformers.generation.continuous_batching.model_runner import ModelRunner
from transformers.generation.continuous_batching.utils import pad_to_pow2, stream_context

from app.engine.choice import Choices
from app.engine.loader import LoadedModel
from app.engine.memory import kv_bytes_per_token
from app.engine.pages import Pages
from app.engine.vision_table import FIRST, VisionTable
from app.engine.window import open_window

# Positions per page: what two prompts share is shared in whole pages.
PAGE = 16
# Tokens read in one step, so that a long prompt does not hold up the answers of others for long.
STEP_TOKENS = {"cpu": 256, "cuda": 2048}
# Answers written at once; more wait.
MOST_RUNNING = 32
# Recorded steps read so many positions of the cache, or a multiple; each number is a recording of its own.
RECORDED_READS = 2048
RECORDED_ROWS = (1, 2, 4, 8, 16, MOST_RUNNING)


def step_tokens(device: torch.device) -> int:
    """Tokens read in one step at most."""
    return STEP_TOKENS.get(device.type, 256)


def least_blocks(context: int) -> int:
    """Blocks of the smallest cache: a whole context, and one to spare."""
    return -(-context // PAGE) + 1


def blocks(loaded: LoadedModel, most: int) -> int:
    """Blocks of a cache of so many bytes: at least one whole context and at most one for each that may run."""
    decoder = loaded.runner.batched_model()
    block = PAGE * kv_bytes_per_token(decoder.config.get_text_config(), torch.finfo(decoder.dtype).bits // 8)
    least = least_blocks(loaded.context)
    return max(least, min(most // block, least * MOST_RUNNING))


def make_manager(
    loaded: LoadedModel,
    table: VisionTable,
    cache_bytes: int,
    reused: dict[str, int],
    left: Callable[[str], None],
    *,
    record: bool,
    share: bool = True,
) -> tuple[ContinuousBatchingManager, Pages]:
    """The scheduler, its cache made, not started, and the pages of that cache.

    Args:
        table: embeds; it is put into the model.
        cache_bytes: for keys and values; the cache holds a whole context even where that is more.
        reused: gets, by request, the positions that were found in the cache.
        left: is told, in the scheduler's thread, which requests it has let go of because they were cancelled.
        record: record the steps in which answers are written (CUDA graphs), the most usual ones at once.
        share: keep pages for later prompts.
    """
    decoder, choices = loaded.runner.batched_model(), Choices(MOST_RUNNING)
    open_window(loaded)
    decoder.set_input_embeddings(table)
    config = ContinuousBatchingConfig(
        page_size=PAGE,
        num_blocks=blocks(loaded, cache_bytes),
        max_batch_tokens=step_tokens(loaded.device),
        max_requests_per_batch=MOST_RUNNING,
        # Tables of blocks want pages of 256 positions, of which hardly any would be shared.
        max_blocks_per_request=0,
        allow_block_sharing=share,
        use_async_batching=False,
        # The attention was chosen when the model was loaded.
        auto_switch_to_flash=False,
        use_cuda_graph=(record, False),
        q_padding_interval_size=MOST_RUNNING,
        kv_padding_interval_size=RECORDED_READS,
    )
    options = GenerationConfig(do_sample=False, eos_token_id=loaded.runner.terminators(), max_new_tokens=loaded.context)
    # One instance's own: what the library would build from the options of all is built for each request.
    decoder._get_logits_processor = lambda config: LogitsProcessorList([choices])
    try:
        manager = ContinuousBatchingManager(decoder, options, config)
    finally:
        del decoder._get_logits_processor
    manager.logit_processor.tensors_required = 1
    processor = manager.batch_processor = manager._create_batch_processor()
    processor.model_runner = StepRunner(processor, table, choices)
    pages = Pages(processor.cache, FIRST)
    table.watch(pages.ids)
    manager.warmup()
    _count_reuse(processor.cache, reused)
    _watch_cancelled(processor.scheduler, left)
    return manager, pages


class StepRunner(ModelRunner):
    """The library's, between the embedding and the choices.

    Args:
        processor: of the manager whose steps it computes.
    """

    def __init__(self, processor: Any, table: VisionTable, choices: Choices) -> None:
        own = processor.model_runner
        super().__init__(own.logit_processor, own.cb_config, own.inputs_and_outputs, own.cache, own.do_sample, False)
        self._table, self._choices = table, choices

    def compute_batch(self, model: Any, batch_data: Any) -> None:
        """One step: new keys and values in the cache, new tokens where the library fetches them."""
        places = self.inputs_and_outputs
        if places.compute_stream is not None:
            # Features and inputs were made on the usual stream.
            places.compute_stream.wait_stream(torch.cuda.current_stream())
        with stream_context(places.compute_stream), self._table.ready(batch_data["input_ids"]):
            super().compute_batch(model, batch_data)
            self._choices.choose(places.output_ids[0])

    def maybe_pad_inputs(self, num_q_tokens: int, max_kv_read: int, use_decode_fast_path: bool) -> tuple[int, int]:
        """Few recordings serve all steps, but one user's is not as large as that of many: some kernels want one row."""
        padded, reads = super().maybe_pad_inputs(num_q_tokens, max_kv_read, use_decode_fast_path)
        if self.pad_inputs and num_q_tokens <= MOST_RUNNING:
            padded = pad_to_pow2(num_q_tokens, MOST_RUNNING)
        return padded, reads

    def _get_forward_fn(self, use_block_table: bool) -> tuple[Any, bool]:
        """Only steps that write answers are recorded: prompts are of too many lengths."""
        forward, recorded = super()._get_forward_fn(use_block_table)
        return forward, recorded and self.inputs_and_outputs.num_q_tokens <= MOST_RUNNING

    def warmup(self, model: Any) -> None:
        """A step of a prompt, which shows that there is memory for the largest, and the usual recordings."""
        super().warmup(model)
        if self.pad_inputs:
            for rows, reads in product(RECORDED_ROWS, (RECORDED_READS, 2 * RECORDED_READS)):
                self.run_one_warmup(model, num_q_tokens=rows, max_kv_read=reads)
            self.cache.reset()


def _count_reuse(cache: Any, reused: dict[str, int]) -> None:
    search = cache.search_prefix_match

    def counted(request_id: str, prompt_ids: list[int]) -> int:
        found = search(request_id, prompt_ids)
        reused.setdefault(request_id, found)
        return int(found)

    cache.search_prefix_match = counted


def _watch_cancelled(scheduler: Any, left: Callable[[str], None]) -> None:
    clear = scheduler.clear_cancelled_requests

    def cleared() -> Any:
        gone = list(scheduler._requests_to_cancel)  # only the thread that calls this adds to it
        states = clear()
        if gone or not scheduler.active_requests:
            # Who waits for room gets it now; the library would see to that only where a request finishes by itself.
            scheduler.block_new_requests = False
        for name in gone:
            left(name)
        return states

    scheduler.clear_cancelled_requests = cleared
