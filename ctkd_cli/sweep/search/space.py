"""What is searched: a dimension for each key whose value is a range of values.

Written as Hydra writes sweeps: `interval(0.1, 10)`, `tag(log, interval(0.1, 10))`,
`int(interval(1, 8))`, `range(2, 9, 2)` without its end, `choice(kl, hint)`, `kl,hint`, `glob(*)`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep

from ctkd_cli.errors import InputError, Problem
from ctkd_cli.settings.config_files import initialised
from ctkd_cli.settings.overrides import readable_part

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import Trial


@dataclass(frozen=True)
class Dimension:
    """A key and the values that it may take. element: the key as Hydra is told of it."""

    key: str
    element: str
    distribution: BaseDistribution

    def suggest(self, trial: Trial) -> str:
        """A value for a trial, as an override. A trial that has one already keeps it."""
        from optuna.distributions import CategoricalDistribution, IntDistribution

        found: Any = self.distribution
        if isinstance(found, CategoricalDistribution):
            value: Any = trial.suggest_categorical(self.key, found.choices)
        else:
            whole = isinstance(found, IntDistribution)
            suggest = trial.suggest_int if whole else trial.suggest_float
            value = suggest(self.key, found.low, found.high, step=found.step, log=found.log)
        return f"{self.element}={_text(value)}"

    def corners(self) -> list[str]:
        """The ends of an interval, or all choices, as overrides."""
        from optuna.distributions import CategoricalDistribution

        if isinstance(self.distribution, CategoricalDistribution):
            values: Sequence[Any] = self.distribution.choices
        else:
            values = [self.distribution.low, self.distribution.high]
        return [f"{self.element}={_text(value)}" for value in values]


@dataclass(frozen=True)
class Space:
    """fixed: the overrides that all trials share."""

    fixed: tuple[str, ...]
    dimensions: tuple[Dimension, ...]

    @classmethod
    def read(cls, overrides: Sequence[str], params: Mapping[str, Any]) -> Space:
        """The space of a command line and of `hydra.sweeper.params`; where both have a key, the
        command line's counts. Raises InputError with all that is wrong."""
        prepared, problems = readable_part([*overrides, *_written(params, overrides)])
        fixed: list[str] = []
        dimensions: list[Dimension] = []
        with initialised():  # glob(...) looks at the groups
            parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
            for text, override in zip(prepared, parser.parse_overrides(prepared), strict=True):
                if not override.is_sweep_override():
                    fixed.append(text)
                    continue
                key = override.key_or_group
                try:
                    found = _distribution(override)
                except ValueError as error:
                    problems.append(_not_a_range(key, override, str(error)))
                else:
                    dimensions.append(Dimension(key, override.get_key_element(), found))
        if problems:
            raise InputError(*problems)
        return cls(tuple(fixed), tuple(dimensions))

    def corners(self) -> Iterator[list[str]]:
        """Jobs that together show each dimension's ends and choices, the others at their first."""
        first = [dimension.corners()[0] for dimension in self.dimensions]
        yield [*self.fixed, *first]
        for place, dimension in enumerate(self.dimensions):
            for corner in dimension.corners()[1:]:
                yield [*self.fixed, *first[:place], corner, *first[place + 1 :]]


def _written(params: Mapping[str, Any], overrides: Sequence[str]) -> list[str]:
    """`params` as overrides, without the keys that the command line has."""
    given = {override.lstrip("+").partition("=")[0] for override in overrides}
    return [f"{key}={_text(value)}" for key, value in params.items() if key not in given]


def _distribution(override: Override) -> BaseDistribution:
    """Raises ValueError when there are no such values."""
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    value = override.value()
    if isinstance(value, IntervalSweep):
        start, end, log = value.start, value.end, "log" in value.tags
        if isinstance(start, int) and isinstance(end, int):
            return IntDistribution(start, end, log=log)
        return FloatDistribution(float(start or 0), float(end or 0), log=log)
    if isinstance(value, RangeSweep) and not value.shuffle:
        steps = [float(step) for step in value.range()]
        if not steps:
            raise ValueError("this range is empty")
        if all(isinstance(n, int) for n in (value.start, value.stop, value.step)):
            return IntDistribution(int(min(steps)), int(max(steps)), step=abs(int(value.step)))
        return FloatDistribution(min(steps), max(steps), step=abs(float(value.step)))
    texts = [each.partition("=")[2] for each in _each(override)]
    if not texts:
        raise ValueError("there is nothing to choose from")
    return CategoricalDistribution(list(dict.fromkeys(texts)))


def _each(override: Override) -> Iterator[str]:
    for text in override.sweep_string_iterator():
        yield f"{override.key_or_group}={text}"


def _not_a_range(key: str, override: Override, reason: str) -> Problem:
    return Problem(
        "these values cannot be searched",
        where=key,
        got=f"{key}={override.input_line.partition('=')[2]}" if override.input_line else key,
        allowed="interval(LOW, HIGH), tag(log, interval(LOW, HIGH)) with LOW above 0, "
        "int(interval(LOW, HIGH)), range(START, END, STEP), choice(A, B, ...)",
        remedy=f"({reason.splitlines()[0]})",
    )


def _text(value: Any) -> str:
    """As it would be typed; four digits tell settings apart that a run could."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return "null" if value is None else str(value)
