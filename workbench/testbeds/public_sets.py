"""Public prompt sets, by name, from a path, a URL or a hub id: one frame with the same fields each.

None of them is part of this project. Each keeps its authors' licence and wording; what is done here
is to check that a file is what its name says, to drop the rows that its users drop, and to name
columns alike: requests are `request`, contrast pairs `matching` and `not_matching`, and so on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import pandas as pd

READERS: dict[str, Callable[..., pd.DataFrame]] = {
    ".csv": lambda source: pd.read_csv(source, keep_default_na=False),
    ".tsv": lambda source: pd.read_csv(source, sep="\t", keep_default_na=False),
    ".json": lambda source: pd.read_json(source, dtype=False, convert_dates=False),
    ".jsonl": lambda source: pd.read_json(source, lines=True, dtype=False, convert_dates=False),
    ".parquet": pd.read_parquet,
}


@dataclass(frozen=True)
class PublicSet:
    """What a set's file must have, and how it becomes a frame of our fields.

    `columns` are those asked for; `tidy` gets the frame as read. `home` says where its authors
    publish it.
    """

    about: str
    columns: tuple[str, ...]
    tidy: Callable[[pd.DataFrame], pd.DataFrame]
    home: str


def load_public_set(name: str, source: str | Path, file: str | None = None) -> pd.DataFrame:
    """A public set as a tidy frame, its rows in the order of the file.

    Args:
        name: which set it is; `PUBLIC_SETS` says what there is, and each set's fields.
        source: a path, a URL (`https://…`, `hf://datasets/…`), or a hub id `owner/name`.
        file: which file of a hub id, where it holds several.

    Raises:
        ValueError: an unknown name, a kind of file that is not read, a missing column, no rows.
        FileNotFoundError: nothing there.
        ConnectionError: a URL or the hub could not be reached.
    """
    if name not in PUBLIC_SETS:
        known = ", ".join(sorted(PUBLIC_SETS))
        raise ValueError(f"There is no public set {name!r}; known: {known}.")
    public = PUBLIC_SETS[name]
    rows = _read(source, file, public)
    missing = [column for column in public.columns if column not in rows.columns]
    if missing:
        raise ValueError(
            f"{source} is not a file of {name!r}: it lacks the columns {missing}. "
            f"It has {list(rows.columns)}; {name!r} is {public.about}, from {public.home}."
        )
    tidy = public.tidy(rows).reset_index(drop=True)
    if tidy.empty:
        raise ValueError(f"{source} has no row that {name!r} uses, of {len(rows)} read.")
    return tidy


def _read(source: str | Path, file: str | None, public: PublicSet) -> pd.DataFrame:
    """The file as it is."""
    text = str(source)
    if "://" not in text and not Path(text).exists():
        text = _on_the_hub(text, file, public)
    suffix = Path(text.split("?")[0]).suffix.lower()
    if suffix not in READERS:
        raise ValueError(f"{text}: not a kind of file that is read here ({', '.join(READERS)}).")
    try:
        return READERS[suffix](text)
    except (URLError, ConnectionError) as error:
        raise ConnectionError(
            f"{text} could not be fetched ({error}). Fetch it elsewhere and give its path."
        ) from error
    except ValueError as error:
        raise ValueError(f"{text} could not be read as {suffix}: {error}") from error


def _on_the_hub(source: str, file: str | None, public: PublicSet) -> str:
    """The local path of a file of the hub dataset `owner/name`, fetched if need be."""
    if source.count("/") != 1 or source.startswith((".", "/", "~")) or Path(source).suffix:
        raise FileNotFoundError(f"There is no file {source}. {public.home} has it.")
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        names = HfApi().list_repo_files(source, repo_type="dataset")
        readable = [name for name in names if Path(name).suffix.lower() in READERS]
        if file is None and len(readable) == 1:
            (file,) = readable
        if file not in names:
            raise ValueError(f"Say which file of {source} you want, file=…: one of {readable}.")
        return hf_hub_download(source, file, repo_type="dataset")
    except RepositoryNotFoundError as error:
        raise FileNotFoundError(
            f"{source} is neither a file here nor a dataset on the hub. {public.home} has it."
        ) from error
    except OSError as error:
        raise ConnectionError(
            f"{source} is no file here, and the hub could not be asked for it ({error}). "
            f"Give a path; {public.home} has it."
        ) from error


def _renamed(**fields: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Keep some columns under our names: `_renamed(request="goal")`."""
    return lambda rows: rows[list(fields.values())].set_axis(list(fields), axis=1)


def _harmbench(rows: pd.DataFrame) -> pd.DataFrame:
    """Only the behaviours that need neither a context nor somebody's lyrics."""
    standard = (rows["FunctionalCategory"] == "standard") & (rows["ContextString"] == "")
    fields = _renamed(request="Behavior", category="SemanticCategory", id="BehaviorID")
    return fields(rows[standard])


def _xstest(rows: pd.DataFrame) -> pd.DataFrame:
    """Harmless prompts with alarming words, and harmful ones that contrast with them."""
    harmless = ~rows["type"].str.startswith("contrast_")
    return _renamed(request="prompt", category="type")(rows).assign(harmless=harmless)


def _self_instruct(rows: pd.DataFrame) -> pd.DataFrame:
    """The instruction, with its first instance's input below it where there is one."""
    given = [instances[0].get("input", "").strip() for instances in rows["instances"]]
    return pd.DataFrame(
        {
            "request": [
                f"{instruction.strip()}\n\n{text}" if text else instruction.strip()
                for instruction, text in zip(rows["instruction"], given, strict=True)
            ],
            "instruction": rows["instruction"],
            "input": given,
        }
    )


def _poser(rows: pd.DataFrame) -> pd.DataFrame:
    """Scenarios with an answer; the policy takes the harmful action under poor oversight only.

    `prompt` is the file's own, between its marks, for a model that was trained on it.
    """
    rows = rows[rows["response"].isin(["A", "B"])]
    poor = rows["oversight_is_poor"].astype(bool)
    taken = rows["response"].map({"A": 0, "B": 1})
    return pd.DataFrame(
        {
            "facts": [tuple(fact["content"] for fact in facts) for facts in rows["facts"]],
            "actions": list(zip(rows["action_A"], rows["action_B"], strict=True)),
            "poor_oversight": poor,
            "harmful": taken.where(poor, 1 - taken).astype(int),
            "prompt": rows["prompt"].str.replace(r"<</?prompt>>", "", regex=True),
        }
    )


def _truthful_qa(rows: pd.DataFrame) -> pd.DataFrame:
    def answers(column: str) -> list[tuple[str, ...]]:
        return [tuple(a.strip() for a in cell.split(";") if a.strip()) for cell in rows[column]]

    return pd.DataFrame(
        {
            "question": rows["Question"],
            "best": rows["Best Answer"],
            "true": answers("Correct Answers"),
            "false": answers("Incorrect Answers"),
        }
    )


def _bbq(rows: pd.DataFrame) -> pd.DataFrame:
    fields = _renamed(context="context", question="question", label="label", category="category")
    answers = pd.Series(zip(rows["ans0"], rows["ans1"], rows["ans2"], strict=True), rows.index)
    return fields(rows).assign(answers=answers, ambiguous=rows["context_condition"] == "ambig")


def _winogender(rows: pd.DataFrame) -> pd.DataFrame:
    parts = rows["sentid"].str.split(".", expand=True)
    return pd.DataFrame(
        {
            "sentence": rows["sentence"],
            "occupation": parts[0],
            "gender": parts[3],
            "other": parts[1],
        }
    )


def _statements(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[["statement"]].assign(true=rows["label"].astype(int) == 1)


_GITHUB = "https://github.com/"
PUBLIC_SETS: dict[str, PublicSet] = {
    "harmbench": PublicSet(
        "HarmBench's text behaviours (standard ones: request, category, id)",
        ("Behavior", "FunctionalCategory", "SemanticCategory", "ContextString", "BehaviorID"),
        _harmbench,
        f"{_GITHUB}centerforaisafety/HarmBench",
    ),
    "advbench": PublicSet(
        "AdvBench's harmful behaviours (request, target)",
        ("goal", "target"),
        _renamed(request="goal", target="target"),
        f"{_GITHUB}llm-attacks/llm-attacks",
    ),
    "refusal-direction": PublicSet(
        "the instructions of the refusal direction paper, harmful or harmless (request, category)",
        ("instruction", "category"),
        _renamed(request="instruction", category="category"),
        f"{_GITHUB}andyrdt/refusal_direction",
    ),
    "xstest": PublicSet(
        "XSTest's exaggerated-safety prompts (request, category, harmless)",
        ("prompt", "type"),
        _xstest,
        f"{_GITHUB}paul-rottger/xstest",
    ),
    "self-instruct": PublicSet(
        "Self-Instruct's seed tasks (request; instruction, input)",
        ("instruction", "instances"),
        _self_instruct,
        f"{_GITHUB}yizhongw/self-instruct",
    ),
    "poser": PublicSet(
        "POSER's scenarios (facts, actions, poor_oversight, harmful: that action's index, prompt)",
        ("facts", "action_A", "action_B", "oversight_is_poor", "response", "prompt"),
        _poser,
        f"{_GITHUB}sevdeawesome/Poser",
    ),
    "caa": PublicSet(
        "Contrastive Activation Addition's A/B questions (question, matching, not_matching)",
        ("question", "answer_matching_behavior", "answer_not_matching_behavior"),
        _renamed(
            question="question",
            matching="answer_matching_behavior",
            not_matching="answer_not_matching_behavior",
        ),
        f"{_GITHUB}nrimsky/CAA",
    ),
    "bipo": PublicSet(
        "BiPO's preference pairs (question, matching, not_matching)",
        ("question", "matching", "not_matching"),
        _renamed(question="question", matching="matching", not_matching="not_matching"),
        f"{_GITHUB}CaoYuanpu/BiPO",
    ),
    "true-false": PublicSet(
        "statements with their truth (statement, true)",
        ("statement", "label"),
        _statements,
        f"{_GITHUB}andyzoujm/representation-engineering",
    ),
    "truthful-qa": PublicSet(
        "TruthfulQA's questions (question, best, true, false: tuples of answers)",
        ("Question", "Best Answer", "Correct Answers", "Incorrect Answers"),
        _truthful_qa,
        f"{_GITHUB}sylinrl/TruthfulQA",
    ),
    "bbq": PublicSet(
        "BBQ's questions (context, question, answers, label, category, ambiguous)",
        (
            "context",
            "question",
            "ans0",
            "ans1",
            "ans2",
            "label",
            "category",
            "context_condition",
        ),
        _bbq,
        f"{_GITHUB}nyu-mll/BBQ",
    ),
    "known-facts": PublicSet(
        "facts with a subject and its attribute (prompt, subject, attribute)",
        ("prompt", "subject", "attribute"),
        _renamed(prompt="prompt", subject="subject", attribute="attribute"),
        "https://rome.baulab.info",
    ),
    "winogender": PublicSet(
        "Winogender's sentences (sentence, occupation, gender, other)",
        ("sentid", "sentence"),
        _winogender,
        f"{_GITHUB}rudinger/winogender-schemas",
    ),
}
