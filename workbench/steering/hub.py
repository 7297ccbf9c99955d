"""Vectors on the Hugging Face hub: push them with a card that is written for them, and fetch them.

A repo holds our own safetensors files in its folder `vectors/`, and the card as its README. What
is fetched is read as any file of vectors is: nothing in it is ever executed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

from workbench.files import write_text
from workbench.steering.card import card_of
from workbench.steering.vector import SteeringVector
from workbench.steering.vector_set import VectorSet

FOLDER = "vectors"
_OURS = (f"{FOLDER}/*", "README.md", "LICENSE*", ".gitattributes")


def push_to_hub(
    vectors: SteeringVector | Sequence[SteeringVector] | VectorSet,
    repo_id: str,
    *,
    token: str | None = None,
    private: bool | None = None,
    revision: str | None = None,
    license: str | None = None,
    card: str | None = None,
    message: str | None = None,
) -> str:
    """Push vectors to the repo `owner/name`, which is made if it is not there. Returns the address.

    The repo then holds exactly these vectors, and a card that is written from their provenance, or
    your own `card`. Their provenance goes with them: also the texts of the examples, which anybody
    can read unless the repo is `private`. `token` is needed where you are not logged in
    (`hf auth login`); `revision` is a branch.

    Raises ValueError for a repo that holds something else or an id that is none, PermissionError
    without the right to write, and ConnectionError where the hub cannot be reached.
    """
    from huggingface_hub import HfApi

    held = VectorSet([vectors] if isinstance(vectors, SteeringVector) else vectors)
    text = card_of(held, repo_id, license) if card is None else card
    api = HfApi(token=token)
    with tempfile.TemporaryDirectory() as temp, _in_words(repo_id, "write to"):
        api.create_repo(repo_id, private=private, exist_ok=True)
        if revision is not None:
            api.create_branch(repo_id, branch=revision, exist_ok=True)
        _check_ours(api.list_repo_files(repo_id, revision=revision), repo_id)
        held.save(Path(temp) / FOLDER)
        write_text(Path(temp) / "README.md", text)
        count = f"{len(held)} steering vector{'s' if len(held) > 1 else ''}"
        pushed = api.upload_folder(
            repo_id=repo_id,
            folder_path=temp,
            commit_message=message or f"Push {count}",
            revision=revision,
            delete_patterns=f"{FOLDER}/*",
        )
    return str(pushed.commit_url)


def from_hub(
    repo_id: str,
    file: str | None = None,
    *,
    revision: str | None = None,
    token: str | None = None,
) -> VectorSet:
    """The vectors that `push_to_hub` put into a repo, or those of one `file` in it.

    `file` may be of any format that `read_vectors` knows: `from_hub("owner/name", "happy.gguf")`.
    `revision` is a branch, a tag or a commit. What was fetched is kept in the hub's own cache, and
    serves where the hub cannot be reached.

    Raises FileNotFoundError for a repo, revision or file that is not there, PermissionError for a
    repo that asks for other rights, ConnectionError where the hub cannot be reached and nothing is
    cached, and ValueError for files that are damaged or hold no vectors.
    """
    from huggingface_hub import hf_hub_download, snapshot_download

    from workbench.steering.formats import read_vectors

    with _in_words(repo_id, "read"):
        if file is not None:
            return read_vectors(hf_hub_download(repo_id, file, revision=revision, token=token))
        pattern = f"{FOLDER}/*.safetensors"
        snapshot = snapshot_download(
            repo_id, revision=revision, token=token, allow_patterns=pattern
        )
    folder = Path(snapshot) / FOLDER
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{repo_id} holds no {pattern}: nobody has pushed vectors there with push_to_hub. Name "
            "the file that you want, from_hub(repo, file)"
        )
    return VectorSet.load(folder)


def _check_ours(names: Sequence[str], repo_id: str) -> None:
    """Raise ValueError for a repo with files that are none of ours: a model's card is not ours."""
    foreign = [name for name in names if not any(fnmatch(name, each) for each in _OURS)]
    if foreign:
        shown = ", ".join(foreign[:3]) + (" and more" if len(foreign) > 3 else "")
        raise ValueError(
            f"{repo_id} holds {shown}: it is no repo of vectors, and its card would be written "
            "over. Push to a repo of their own"
        )


@contextmanager
def _in_words(repo_id: str, to: str) -> Iterator[None]:
    """Turn what the hub answers into errors that say what to do."""
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as error:
        raise PermissionError(
            f"{repo_id} is gated: ask for access on its page, then log in (`hf auth login`) or "
            "give token="
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise FileNotFoundError(
            f"there is no repo {repo_id} on the hub, or it is private and you are not logged in "
            "(`hf auth login`, or token=)"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise FileNotFoundError(f"{repo_id} has no such revision: {_first_line(error)}") from error
    except errors.LocalEntryNotFoundError as error:
        raise _unreachable(repo_id, error) from error
    except errors.EntryNotFoundError as error:
        raise FileNotFoundError(f"{repo_id} has no such file: {_first_line(error)}") from error
    except errors.LocalTokenNotFoundError as error:
        raise _forbidden(repo_id, to, error) from error
    except errors.HfHubHTTPError as error:
        if getattr(error.response, "status_code", None) in (401, 403):
            raise _forbidden(repo_id, to, error) from error
        raise _unreachable(repo_id, error) from error
    except (ConnectionError, TimeoutError, errors.HTTPError) as error:
        raise _unreachable(repo_id, error) from error


def _forbidden(repo_id: str, to: str, error: Exception) -> PermissionError:
    return PermissionError(
        f"you may not {to} {repo_id}: log in (`hf auth login`) or give token= with that right "
        f"({_first_line(error)})"
    )


def _unreachable(repo_id: str, error: Exception) -> ConnectionError:
    return ConnectionError(
        f"the hub could not be asked for {repo_id} ({_first_line(error)}). Check the network and "
        "HF_HUB_OFFLINE, or carry the files yourself: SteeringVector.save and load"
    )


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__
