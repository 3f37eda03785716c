"""Variables of the environment that torch, accelerate, transformers, datasets, OpenMP and
matplotlib read. This is the one place that says what becomes of them.

Only settings decide what a run computes. Three sorts of variable would have a say:

- REMOVED would change what is computed (precision, compilation, another trainer) or who draws: they
  are taken out of the environment before anything reads them, and the user is told.
- KEYED choose among kernels that compute the same and round otherwise: they stay, and are part of
  every key of the cache and of environment.json.
- COUNTED say how many threads there are, as the number of cores does: they stay, and are in
  environment.json. Sums are taken in another order, as on another machine.

TORCHRUN's come together or not at all (parallel.py).
"""

from __future__ import annotations

import os
import re

REMOVED = re.compile(
    r"""
    ACCELERATE_(?!LOG_LEVEL$|ENABLE_RICH$|DISABLE_RICH$)\w+  # precision, Dynamo, DeepSpeed, FSDP
    | (FSDP|MEGATRON_LM|PARALLELISM_CONFIG)_\w+ | SM_\w+     # accelerate's other trainers
    | (OMPI_COMM_WORLD|MV2_COMM_WORLD|PMI)_\w+ | MPI_LOCALRANKID | FORK_LAUNCHED  # MPI as torchrun
    | XLA_(USE|DOWNCAST)_\w+ | USE_TORCH_XLA | PJRT_DEVICE
    | USE_HUB_KERNELS | TRANSFORMERS_(SDPA_FORCE_GQA|DISABLE_DEEPGEMM_LINEAR|TEST_\w+)
    | (ONEDNN|DNNL)_DEFAULT_FPMATH_MODE | TORCH_ALLOW_TF32_CUBLAS_OVERRIDE | NVIDIA_TF32_OVERRIDE
    | TORCH_COMPILE_\w+ | PYTORCH_TENSOREXPR\w* | PYTORCH_JIT
    | TORCH_FORCE_\w*WEIGHTS_ONLY_LOAD | TRUST_REMOTE_CODE | HF_DATASETS_TRUST_REMOTE_CODE
    | MPLBACKEND | MATPLOTLIBRC
    """,
    re.VERBOSE,
)
KEYED = (
    "ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS", "MKL_DEBUG_CPU_TYPE", "MKL_DISABLE_FAST_MM", "OPENBLAS_CORETYPE",
    "TORCH_LINEAR_FLATTEN_3D", "TORCH_MKLDNN_MATMUL_MIN_DIM", "TORCH_MKLDNN_MATMUL_MIN_SIZE",
    "TORCH_BLAS_PREFER_CUBLASLT", "TORCH_CUDNN_V8_API_DISABLED", "TORCH_CUDNN_USE_HEURISTIC_MODE_B",
    "CUBLAS_WORKSPACE_CONFIG", "FLASH_ATTENTION_DETERMINISTIC", "PYTORCH_TUNABLEOP_ENABLED",
)  # fmt: skip
COUNTED = (
    "OMP_NUM_THREADS", "OMP_DYNAMIC", "OMP_THREAD_LIMIT", "MKL_NUM_THREADS", "MKL_DYNAMIC",
    "OPENBLAS_NUM_THREADS",
)  # fmt: skip


def remove() -> list[str]:
    """Take out of the environment what only settings may decide, before torch is imported; the
    names of what was there."""
    found = sorted(name for name in os.environ if REMOVED.fullmatch(name))
    for name in found:
        del os.environ[name]
    return found


def keyed() -> dict[str, str]:
    """Those that are part of every key, where they are set."""
    return _those_set(KEYED)


def recorded() -> dict[str, str]:
    """Those that environment.json has, where they are set."""
    return _those_set((*KEYED, *COUNTED))


def _those_set(names: tuple[str, ...]) -> dict[str, str]:
    return {name: os.environ[name] for name in names if name in os.environ}
