"""Pooling: maxima and averages over windows, and over as many windows as the output shall have."""

from __future__ import annotations

from ... import _core

# The core's own functions: no Python frame stands between the caller and the kernel.
adaptive_avg_pool1d = _core.adaptive_avg_pool1d
adaptive_avg_pool2d = _core.adaptive_avg_pool2d
adaptive_avg_pool3d = _core.adaptive_avg_pool3d
adaptive_max_pool1d = _core.adaptive_max_pool1d
adaptive_max_pool2d = _core.adaptive_max_pool2d
adaptive_max_pool3d = _core.adaptive_max_pool3d
avg_pool1d = _core.avg_pool1d
avg_pool2d = _core.avg_pool2d
avg_pool3d = _core.avg_pool3d
max_pool1d = _core.max_pool1d
max_pool2d = _core.max_pool2d
max_pool3d = _core.max_pool3d
