"""Heavy modules, imported at first use.

`ctkd list`, `ctkd check` and a refused config look at settings only, so they must not pay for
torch, nor the first two for pyarrow. A module that holds settings beside tensor code takes its
names from here.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as _pyarrow
    import pyarrow.compute as _compute
    import torch as torch
    import transformers as transformers

    pa, pc = _pyarrow, _compute
else:

    class _Lazy:
        def __init__(self, name: str) -> None:
            self._name = name

        def __getattr__(self, attribute: str) -> Any:
            return getattr(import_module(self._name), attribute)

    pa = _Lazy("pyarrow")
    pc = _Lazy("pyarrow.compute")
    torch = _Lazy("torch")
    transformers = _Lazy("transformers")
