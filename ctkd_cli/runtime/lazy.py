"""Heavy modules, imported at first use.

`ctkd list`, `ctkd check` and a refused config look at settings only, so they must not pay for
torch and scipy, nor the first two for pyarrow. A module that holds settings beside tensor code
takes its names from here.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as _pyarrow
    import pyarrow.compute as _compute
    import scipy.special as _special
    import torch as torch
    import transformers as transformers

    pa, pc, special = _pyarrow, _compute, _special
else:

    class _Lazy:
        def __init__(self, name: str) -> None:
            self._name = name

        def __getattr__(self, attribute: str) -> Any:
            return getattr(import_module(self._name), attribute)

    pa = _Lazy("pyarrow")
    pc = _Lazy("pyarrow.compute")
    special = _Lazy("scipy.special")
    torch = _Lazy("torch")
    transformers = _Lazy("transformers")
