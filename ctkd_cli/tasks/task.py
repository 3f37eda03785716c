"""A task, loaded: named labels and fixed splits of examples that have ids.

Splits never depend on the run's seed; only the choice of labelled examples does
(`labels_per_class`), and it is the same in every arm of a run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ctkd_cli.data._ids import Ids
from ctkd_cli.data._labels import Column
from ctkd_cli.data._labels import problems as label_problems
from ctkd_cli.errors import InputError, Problem, nearest
from ctkd_cli.tasks import coverage
from ctkd_cli.tasks.draws import deal, draw, draw_groups
from ctkd_cli.tasks.fold import Fold
from ctkd_cli.tasks.positions import UNLABELLED, Labels
from ctkd_cli.tasks.scarcity import coarse_test, counted, set_aside, too_few_to_validate
from ctkd_cli.tasks.settings import AnyTask
from ctkd_cli.tasks.split import Split, concatenate, fingerprint

if TYPE_CHECKING:
    from datasets import Dataset

DEFAULT_VALIDATION = 0.1  # share of train, for tasks with all their labels


@dataclass(frozen=True)
class Task:
    """A task ready for models. `train` holds labelled AND unlabelled examples: labels is
    UNLABELLED where the label is absent or was hidden by labels_per_class."""

    settings: AnyTask
    labels: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    fingerprint: str
    notes: tuple[str, ...] = field(default=())  # what was dropped or repaired, in plain words
    merged: tuple[AnyTask, ...] = field(default=())  # the settings of all, if it was merged

    @property
    def readers(self) -> str:
        """Where its examples come from."""
        return " + ".join(dict.fromkeys(s.reader for s in self.merged or (self.settings,)))

    @property
    def licences(self) -> str:
        found = (s.licence() for s in self.merged or (self.settings,))
        return "; ".join(dict.fromkeys(text for text in found if text))

    @property
    def labelled(self) -> np.ndarray:
        """Rows of `train` whose label is known."""
        return np.flatnonzero(self.train.labels.labelled)

    def splits(self) -> dict[str, Split]:
        return {"train": self.train, "validation": self.validation, "test": self.test}

    def counts(self) -> dict[str, dict[str, int]]:
        """Labelled positions, one per example as a rule, per split and label."""
        return {
            name: dict(
                zip(self.labels, split.labels.counts(len(self.labels)).tolist(), strict=True)
            )
            for name, split in self.splits().items()
        }


def load(settings: AnyTask, seed: int, fold: Fold | None = None) -> Task:
    """Read a task and fix its splits. `seed` draws the labelled examples, and nothing else. fold:
    the part of the labelled examples that is test, for those who have no test split.

    Raises InputError when the data cannot serve: no such label, a label without examples, no test.
    """
    import datasets

    datasets.disable_progress_bars()  # a run has bars of its own
    return _Loader(settings, seed, fold).task()


class _Loader:
    """One task's way from raw tables to splits; `notes` gathers what the user should hear of."""

    def __init__(self, settings: AnyTask, seed: int, fold: Fold | None) -> None:
        self.settings = settings
        self.seed = seed
        self.fold = fold
        self.notes: list[str] = []
        self.chosen: Mapping[str, str] = {}  # label of the data -> ours, where some are asked for

    def task(self) -> Task:
        settings = self.settings
        raw = settings.read(settings.columns(), settings.label)
        columns = {
            part: settings.read_labels(
                table, settings.label, f"{settings.role}, column {settings.label!r} of {part}"
            )
            for part, table in raw.items()
        }
        self.notes += [f"{part}: {each.note}" for part, each in columns.items() if each.note]
        for part in ("validation", "test"):
            if part in raw and not columns[part].names:
                self.notes.append(f"the data's own {part} split is not used: it has no labels")
                del raw[part], columns[part]
        labels = self._labels(columns)
        self.classes = settings.counted(labels)
        splits = {
            part: self._split(part, table, columns[part], labels) for part, table in raw.items()
        }
        train = splits["train"]
        if "unlabelled" in splits:
            hidden = splits["unlabelled"]
            train = concatenate(train, hidden.without_labels())
        train, test = self._hold_out_test(train, splits.get("test"))
        test = self._spare_rare_labels(train, test)
        train = self._drop_duplicates(train, test)
        train, validation = self._hold_out_validation(train, splits.get("validation"))
        train = self._limit(self._hide_labels(train))
        validation, test = self._limit(validation), self._limit(test)
        self.notes += coverage.require(settings, labels, (train, validation, test), self.notes)
        if self.fold is None:
            self.notes += coarse_test(settings, test, held_out="test" not in raw)
        return Task(
            settings=settings,
            labels=labels,
            train=train,
            validation=validation,
            test=test,
            fingerprint=fingerprint(settings, labels, (train, validation, test)),
            notes=tuple(self.notes),
        )

    def _labels(self, columns: dict[str, Column]) -> tuple[str, ...]:
        """The task's labels, in the order asked for, else of first use in a sorted list."""
        settings, wanted = self.settings, self.settings.labels
        present = sorted({name for column in columns.values() for name in column.names})
        self.chosen = {} if wanted is None else settings.chosen(wanted, present)
        if wanted is None:
            labels = tuple(present)
        else:
            choices = settings.choices(present)
            unknown = [name for name in self.chosen if name not in present]
            if unknown:
                raise InputError(
                    *(
                        Problem(
                            "the data has no such label",
                            where=f"{settings.role}.labels",
                            got=repr(name),
                            allowed=", ".join(choices[:30]),
                            nearest=nearest(name, choices),
                        )
                        for name in unknown
                    )
                )
            labels = tuple(dict.fromkeys(self.chosen.values()))
        found = label_problems(labels, settings.role, settings.label, chosen=wanted is not None)
        if found:
            raise InputError(*found)
        return labels

    def _split(self, part: str, table: Dataset, column: Column, labels: tuple[str, ...]) -> Split:
        """A raw table as a split: our columns, unique ids, label indices, nothing empty."""
        settings = self.settings
        columns = settings.columns()
        renamed = {name: settings_name for settings_name, name in columns.items()}
        inputs = settings.conform(
            table.select_columns(list(renamed)).rename_columns(renamed),
            f"{settings.role}, {part} split",
        )
        index = {label: position for position, label in enumerate(labels)}
        # The last is for rows without a label, whose code is -1.
        renamed_to = [self.chosen.get(name, name) for name in column.names]
        known = [index.get(name, UNLABELLED) for name in renamed_to]
        offsets = settings.offsets(inputs)
        found = Labels(np.array([*known, UNLABELLED], np.int64)[column.codes], offsets)
        wanted, unnamed = found.labelled, ~Labels(column.codes, offsets).labelled
        if part in ("train", "unlabelled"):
            wanted = wanted | unnamed
        elif missing := int(unnamed.sum()):
            self.notes.append(f"{counted(missing)} of {part} left out: no label")
        keys, digests = settings.identify(inputs)
        if empty := int((wanted & (keys == 0)).sum()):
            self.notes.append(f"{counted(empty)} of {part} left out: empty")
        if part == "train" and wanted.any() and not (keys[wanted] != 0).any():
            raise InputError(self._all_empty(part, table))
        groups = self._groups(part, table)
        split = Split(self._ids(part, table), inputs, found, keys, digests, groups)
        return split.select(np.flatnonzero(wanted & (keys != 0)))

    def _groups(self, part: str, table: Dataset) -> Ids | None:
        """What belongs together, where the settings name a column for it."""
        column = self.settings.group
        if column is None:
            return None
        if column not in table.column_names:
            raise InputError(
                Problem(
                    "the data has no such column",
                    where=f"{self.settings.role}.group, {part} split",
                    got=column,
                    allowed=", ".join(table.column_names[:30]),
                    nearest=nearest(column, table.column_names),
                )
            )
        return Ids.of_column(table, column, f"{part} alone")  # each by itself

    def _all_empty(self, part: str, table: Dataset) -> Problem:
        settings = self.settings
        columns = settings.columns()
        others = [n for n in table.column_names if n not in (*columns.values(), settings.label)]
        return Problem(
            "every input is empty",
            where=f"{settings.role}, column {', '.join(map(repr, columns.values()))} of {part}",
            got=counted(len(table)),
            allowed=f"a column that holds inputs: {', '.join(others[:30])}" if others else "",
            remedy=f"{settings.role}.{next(iter(columns))}=COLUMN",
        )

    def _ids(self, part: str, table: Dataset) -> Ids:
        """The table's own ids where they tell its rows apart, else counted ones. Unlabelled
        inputs join train, where another table's ids may be the same."""
        counted = Ids.counted(part, len(table))
        if "id" not in table.column_names:
            return counted
        ids = Ids.of_column(table, "id", part)
        if ids.repeat():
            self.notes.append(f"the ids of {part} are not used: some repeat")
            return counted
        return ids.prefixed("unlabelled-") if part == "unlabelled" else ids

    def _hold_out_test(self, train: Split, test: Split | None) -> tuple[Split, Split]:
        if self.fold is not None:
            self.fold.require_no_test(test)
        if test is not None:
            return train, test
        generator = np.random.default_rng(self.settings.split_seed)
        if self.fold is not None:
            folds = deal(train.labels, train.groups, self.fold.of, generator)
            self.notes.append(self.fold.told(int(train.labels.labelled.sum())))
            rows = np.flatnonzero(folds == self.fold.number)
            return train.without(rows), train.select(rows)
        rows = self._drawn(train, self.settings.test_size, generator, left=1)
        return train.without(rows), train.select(rows)

    def _drawn(
        self, split: Split, amount: float, generator: np.random.Generator, left: int = 0
    ) -> np.ndarray:
        """Rows of labelled examples; a share keeps groups whole, or leaves so many of each label
        where they have one each."""
        if split.groups is None or isinstance(amount, int):
            return draw(split.labels, self.classes, amount, generator, left)
        labelled = np.flatnonzero(split.labels.labelled)
        if amount and len(set(split.groups.select(labelled))) < 2:
            raise InputError(
                Problem(
                    "all labelled examples belong together, and cannot be parted",
                    where=f"{self.settings.role}.group",
                    got=f"{self.settings.group}: one group of {len(labelled)} examples",
                    allowed="two groups at least, so that some examples can be held out",
                    remedy=f"{self.settings.role}.group=null, or a test and a validation file",
                )
            )
        return np.asarray(labelled[draw_groups(split.groups.select(labelled), amount, generator)])

    def _spare_rare_labels(self, train: Split, test: Split) -> Split:
        """Leave out of test the copies of labels that would have nothing left to train on: of two
        equal examples train loses its own, as a rule."""
        labels = train.labels
        if labels.offsets is not None or self.fold is not None:
            return test
        left = np.unique(labels.values[labels.labelled & ~np.isin(train.keys, test.keys)])
        rare = labels.labelled & ~np.isin(labels.values, left)
        copies = np.flatnonzero(np.isin(test.keys, train.keys[rare]))
        if not len(copies) or len(copies) == len(test):
            return test
        self.notes.append(
            f"{counted(len(copies))} of test left out: copies of all that train has of "
            f"{counted(len(np.unique(labels.values[rare])), 'label')}"
        )
        return test.without(copies)

    def _drop_duplicates(self, train: Split, test: Split) -> Split:
        """Leave out of train what test holds too, and repetitions within train."""
        leaked = np.isin(train.keys, test.keys)
        # Labelled examples first, so that of two equal ones the labelled one stays.
        order = np.argsort(~train.labels.labelled, kind="stable")
        _, first = np.unique(train.keys[order], return_index=True)
        keep = np.zeros(len(train), dtype=bool)
        keep[order[first]] = True
        if leaked.any():
            held = counted(int(leaked.sum()))
            self.notes.append(f"{held} of train left out: test holds them too")
        if train.groups is not None and test.groups is not None:
            together = np.isin(np.array([*train.groups]), np.array([*test.groups])) & ~leaked
            if together.any():
                held = counted(int(together.sum()))
                self.notes.append(f"{held} of train left out: test holds others of their group")
            leaked |= together
        if repeated := int((~keep & ~leaked).sum()):
            self.notes.append(f"{counted(repeated)} of train left out: repetitions")
        return train.select(np.flatnonzero(keep & ~leaked))

    def _hold_out_validation(self, train: Split, own: Split | None) -> tuple[Split, Split]:
        """Validation labels are labels too: with few labels there are none unless asked for."""
        settings = self.settings
        amount: int | float | None = settings.validation_size
        if amount is None:
            if settings.labels_per_class is None and own is not None:
                return train, own
            amount = 0 if settings.labels_per_class is not None else DEFAULT_VALIDATION
            if own is None and amount and too_few_to_validate(train.labels, self.classes):
                amount = 0
            if own is not None:
                self.notes.append(
                    f"the data's own {len(own)} validation examples are not used: with "
                    "labels_per_class they would be labels on the side"
                )
        pool = train if own is None else own
        seed = settings.split_seed if settings.labels_per_class is None else self.seed
        rows = self._drawn(pool, amount, np.random.default_rng([seed, 1]), left=2)
        if own is None and settings.validation_size is None and settings.role == "target":
            self.notes += set_aside(settings, int(pool.labels.labelled.sum()), len(rows))
        return (train.without(rows) if own is None else train), pool.select(rows)

    def _hide_labels(self, train: Split) -> Split:
        if self.settings.labels_per_class is None:
            return train
        generator = np.random.default_rng([self.seed, 2])
        kept = draw(train.labels, self.classes, self.settings.labels_per_class, generator)
        return train.labelled_as(train.labels.only(kept))

    def _limit(self, split: Split) -> Split:
        """About `limit` examples: every label keeps one at least, and labels go first."""
        limit = self.settings.limit
        if limit is None or len(split) <= limit:
            return split
        generator = np.random.default_rng(self.settings.split_seed)
        labelled = np.flatnonzero(split.labels.labelled)
        hidden = np.flatnonzero(~split.labels.labelled)
        if len(labelled) > limit:
            labelled = draw(split.labels, self.classes, limit / len(labelled), generator)
        hidden = generator.permutation(hidden)[: max(0, limit - len(labelled))]
        return split.select(np.sort(np.concatenate([labelled, hidden])))
