"""Where uploads lie while this server runs."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from tempfile import TemporaryDirectory

VARIABLE = "GRADIO_TEMP_DIR"


@contextmanager
def own_upload_folder(environ: MutableMapping[str, str]) -> Iterator[None]:
    """A folder of this server's own, emptied and removed at its end, unless the user has named one.

    By itself Gradio puts uploads into one folder for the whole machine, named by their content, and a server that ends
    deletes those that it was sent: another server that was sent the same picture loses it, and what the machine's
    first user made another one may not write.
    """
    if environ.get(VARIABLE):
        yield
        return
    with TemporaryDirectory(prefix="minicpm-v-uploads-", ignore_cleanup_errors=True) as folder:
        environ[VARIABLE] = folder
        try:
            yield
        finally:
            del environ[VARIABLE]
