"""From YAML groups and overrides to plain settings, through Hydra."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Override
from hydra.core.utils import run_job
from hydra.errors import HydraException
from hydra.types import HydraContext, RunMode, TaskFunction
from omegaconf import DictConfig, OmegaConf, read_write
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from ctkd_cli.errors import InputError, Problem
from ctkd_cli.settings.config_files import GROUPS, initialised, option_file, packaged_configs
from ctkd_cli.settings.literals import decoded, literal
from ctkd_cli.settings.overrides import ours, prepare, readable, readable_part, single_valued

CONFIG_NAME = "config"
SWEEP = "sweep"  # the key under which an experiment's YAML names what it runs over
NO_SETTINGS = ("hydra", SWEEP)
RUN_DIR = "hydra.run.dir"


@dataclass(frozen=True)
class Composed:
    """One job's settings, Hydra's own among them. problems: with overrides that were left out."""

    config: DictConfig
    problems: tuple[Problem, ...] = ()

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Ours, as plain data. Raises InputError."""
        try:
            return settings_of(self.config)
        except OmegaConfBaseException as error:
            raise InputError(_cannot_compose(error)) from error

    @property
    def choices(self) -> dict[str, str]:
        """The option chosen in each group."""
        return _of_groups(self.config.hydra.runtime.choices)

    @property
    def run_dir(self) -> Path | None:
        """The directory that the user has named, with ${...} resolved. Raises InputError."""
        given = self.config.hydra.overrides.hydra
        if not any(override.lstrip("+").startswith(f"{RUN_DIR}=") for override in given):
            return None
        HydraConfig.instance().set_config(self.config)
        try:
            return Path(self.config.hydra.run.dir)
        except OmegaConfBaseException as error:
            raise InputError(_cannot_compose(error)) from error

    def run(self, job: TaskFunction, directory: Path) -> Any:
        """What `job` returns, called as Hydra's main would call it: in its environment, folder
        and so on. Raises OSError when the directory cannot be made."""
        with read_write(self.config.hydra):
            self.config.hydra.run.dir = str(directory)
        with initialised():
            context = HydraContext(GlobalHydra.instance().config_loader(), Callbacks())
            return run_job(job, self.config, RUN_DIR, None, context).return_value


def chosen() -> dict[str, str]:
    """The option chosen in each group for the job that is running; {} outside of Hydra's jobs."""
    if not HydraConfig.initialized():
        return {}
    return _of_groups(HydraConfig.get().runtime.choices)


def _of_groups(choices: Mapping[str, str | None]) -> dict[str, str]:
    """Hydra's choices, those of our groups alone."""
    return {group: option for group, option in choices.items() if group in GROUPS and option}


def settings_of(config: DictConfig) -> dict[str, Any]:
    """Our part of a composition, resolved, as plain data."""
    ours = OmegaConf.masked_copy(config, [str(k) for k in config if k not in NO_SETTINGS])
    settings = OmegaConf.to_container(ours, resolve=True)
    assert isinstance(settings, dict)
    return {str(key): value for key, value in settings.items()}


def compose(overrides: Sequence[str]) -> Composed:
    """Compose one job's settings. Raises InputError, all problems at once."""
    composed = attempt(overrides)
    if composed.problems:
        raise InputError(*composed.problems)
    _ = composed.settings
    return composed


def attempt(overrides: Sequence[str]) -> Composed:
    """Compose what can be read, so that the typed settings can add their problems to those of the
    rest. Raises InputError when nothing can be composed."""
    return _compose(*single_valued(overrides))


def _compose(overrides: Sequence[str], others: Sequence[Problem] = ()) -> Composed:
    prepared, unreadable = readable_part(overrides)
    problems = (*others, *unreadable)
    with initialised():
        try:
            config = hydra_compose(CONFIG_NAME, overrides=prepared, return_hydra_config=True)
        except (HydraException, OmegaConfBaseException, YAMLError) as error:
            raise InputError(*problems, _cannot_compose(error)) from error
        except InputError as error:  # a YAML that is not data
            raise InputError(*problems, *error.problems) from None
    return Composed(config, problems)


def parts(overrides: Sequence[str]) -> list[tuple[str, str, dict[str, Any]]]:
    """The YAMLs that make up a composition, in order; a later one wins.

    Each with its name (`loss/kl.yaml`), the key under which it lands, and its content.
    """
    prepared = prepare(overrides)
    found = []
    with initialised():
        loader = GlobalHydra.instance().config_loader()
        assert isinstance(loader, ConfigLoaderImpl)
        defaults = loader.compute_defaults_list(CONFIG_NAME, prepared, RunMode.RUN)
        for default in defaults.defaults:
            path = default.config_path
            if path is None or path.startswith("hydra"):
                continue
            result = loader.repository.load_config(path)
            if result is None:
                continue
            content = OmegaConf.to_container(result.config, resolve=False)
            if isinstance(content, dict):
                group, _, option = path.rpartition("/")
                file = option_file(group, option) if group else None
                name = _short_name(file) if file else f"{path}.yaml"
                no_settings = ("defaults", *NO_SETTINGS)
                plain = {str(k): v for k, v in content.items() if k not in no_settings}
                found.append((name, default.package or "", plain))
    return found


def typed(overrides: Sequence[str]) -> list[tuple[str, Any]]:
    """Keys and values of the overrides that set or delete something; choices of groups are left
    out, since their YAMLs speak for them."""
    with initialised():
        parsed = ours(overrides)
    return [
        (override.key_or_group, decoded(override.value()))
        for override in parsed
        if override.key_or_group not in GROUPS or isinstance(override.value(), dict)
    ]


@dataclass(frozen=True)
class Plan:
    """How a command line becomes jobs. overrides: the user's, with the lists of values that an
    experiment's own `sweep` adds for keys that they have not set, and one seed a job where they run
    over `seed` (adds: whether it did); search:
    the settings of the sweeper; composed: the settings of the only job, when it is one and nothing
    is wrong with it so far."""

    overrides: tuple[str, ...]
    adds: bool = False
    launcher: str = "basic"
    sweeper: str = "basic"
    search: Mapping[str, Any] = field(default_factory=dict)
    composed: Composed | None = None


def plan(overrides: Sequence[str]) -> Plan:
    """The plan of a command line. What is wrong with it is told when the settings are validated,
    or, as InputError, here when it holds ranges that only a search can take."""
    single, several = single_valued(overrides)
    parsed = readable(overrides)
    try:
        prepare(overrides)
        composed = _compose(single)
    except InputError:
        if any(map(_is_range, parsed)):
            raise
        return Plan(tuple(overrides))
    hydra = composed.config.hydra
    search = OmegaConf.to_container(hydra.sweeper)
    own = OmegaConf.to_container(composed.config[SWEEP]) if SWEEP in composed.config else {}
    assert isinstance(search, dict)
    assert isinstance(own, dict)
    given = {override.key_or_group for override in parsed}
    added = [
        f"{key!s}={','.join(map(literal, each))}" for key, each in own.items() if key not in given
    ]
    over_seeds = any(o.key_or_group == "seed" and o.is_sweep_override() for o in parsed)
    one_each = ["seeds=1"] if over_seeds and not given & {"seeds"} else []
    return Plan(
        overrides=(*overrides, *added, *one_each),
        adds=bool(added),
        launcher=str(hydra.runtime.choices.get("hydra/launcher")),
        sweeper=str(hydra.runtime.choices.get("hydra/sweeper")),
        search={str(key): value for key, value in search.items()},
        composed=None if several else composed,
    )


def of_hydra(overrides: Sequence[str]) -> list[str]:
    """The overrides that are Hydra's own."""
    return [o for o in overrides if o.lstrip("+~").startswith(("hydra.", "hydra/"))]


def jobs(overrides: Sequence[str]) -> list[list[str]]:
    """Every job of a sweep, as Hydra's basic sweeper would expand it."""
    with initialised():  # glob(...) looks at the groups
        parsed = ours(overrides)
        try:
            batches = BasicSweeper.split_arguments(parsed, max_batch_size=None)
        except HydraException as error:
            raise InputError(
                Problem(
                    "this cannot be swept over",
                    where="command line",
                    got=str(error),
                    remedy="hydra/sweeper=optuna, which searches ranges; or a list of values",
                )
            ) from None
    fixed = of_hydra(overrides)
    return [[*job, *fixed] for batch in batches for job in batch]


def _is_range(override: Override) -> bool:
    return override.is_sweep_override() and not override.is_discrete_sweep()


def _short_name(file: Path) -> str:
    """`loss/kl.yaml` for ours, the path for the user's."""
    ours = packaged_configs()
    return str(file.relative_to(ours) if ours in file.parents else file)


def _cannot_compose(error: Exception) -> Problem:
    reason = str(error.__cause__ or error).strip()
    return Problem("the settings cannot be composed", where="YAML or command line", got=reason)
