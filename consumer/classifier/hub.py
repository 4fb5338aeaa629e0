"""Where a checkpoint's files are: a local folder, or a pinned revision of a Hugging Face repository."""

from __future__ import annotations

import re
from pathlib import Path

from consumer.classifier.checkpoint_error import CheckpointError
from consumer.classifier.library_logs import adopt

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_COMMIT = re.compile("[0-9a-f]{40}")
_FILES = (  # no pickles, no code
    "config.json",
    "tokenizer_config.json",
    "tokenizer.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "*.model",
    "model*.safetensors",
    "model.safetensors.index.json",
)


def locate(source: str, revision: str | None, *, allow_download: bool) -> tuple[Path, str]:
    """The folder that holds the checkpoint, and the revision it holds.

    A hub repository is looked up in the local cache; it is downloaded only when ``allow_download`` says so. Its
    ``revision`` is a commit. A folder's is only a name, or else ``local``.

    Raises:
        CheckpointError: it is not there.
    """
    folder = Path(source)
    if folder.is_dir():
        return folder, revision or "local"
    if not _HUB_ID.fullmatch(source):
        raise CheckpointError(source, "is no folder", "set model.source to a checkpoint's folder or to a hub id")
    if revision is None or not _COMMIT.fullmatch(revision):
        problem = "is a hub id without a revision" if revision is None else "is a hub id, and its revision is no commit"
        advice = "set model.revision to the commit that you have tested, 40 hex digits; branches and tags can move"
        raise CheckpointError(source, problem, advice)
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - most runs need no hub
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError  # noqa: PLC0415

    adopt("huggingface_hub")
    try:
        found = snapshot_download(
            source, revision=revision, allow_patterns=list(_FILES), local_files_only=not allow_download
        )
    except LocalEntryNotFoundError as error:
        advice = (
            "check the network, or name a local folder"
            if allow_download
            else "name a local folder, or allow the download by setting model.allow_download"
        )
        raise CheckpointError(source, f"has no revision {revision} in the local cache", advice) from error
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise CheckpointError(
            source, f"cannot be downloaded ({type(error).__name__})", "check the id, the revision and your access to it"
        ) from error
    return Path(found), revision
