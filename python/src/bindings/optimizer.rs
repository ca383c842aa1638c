//! Steps of optimizers, for `arcgrad.optim`.

use arcgrad::ops::optimizer::{self, Adam, Sgd};

use crate::bindings;
use crate::dispatch::work_of;

bindings! {
    /// One step of stochastic gradient descent.
    function _sgd_step {
        "(Tensor[] params, Tensor[] grads, Tensor[] momentum_buffers, float lr, float momentum, float dampening, float weight_decay, bool nesterov, bool maximize, bool first) -> None" => |a| {
            let (params, grads, buffers) = (a.tensors(0)?, a.tensors(1)?, a.tensors(2)?);
            let options = Sgd {
                lr: a.float(3)?,
                momentum: a.float(4)?,
                dampening: a.float(5)?,
                weight_decay: a.float(6)?,
                nesterov: a.flag(7)?,
                maximize: a.flag(8)?,
                first: a.flag(9)?,
            };
            let elements = params.iter().map(arcgrad::Tensor::numel).sum();
            work_of(a.py(), elements, || optimizer::sgd_(&params, &grads, &buffers, options))
        }
    }
    /// One step of Adam.
    function _adam_step {
        "(Tensor[] params, Tensor[] grads, Tensor[] exp_avgs, Tensor[] exp_avg_sqs, Tensor[] max_exp_avg_sqs, Tensor[] steps, float lr, float beta1, float beta2, float eps, float weight_decay, bool decoupled_weight_decay, bool maximize) -> None" => |a| {
            let (params, grads, steps) = (a.tensors(0)?, a.tensors(1)?, a.tensors(5)?);
            let state = [a.tensors(2)?, a.tensors(3)?, a.tensors(4)?];
            let options = Adam {
                lr: a.float(6)?,
                betas: (a.float(7)?, a.float(8)?),
                eps: a.float(9)?,
                weight_decay: a.float(10)?,
                decoupled: a.flag(11)?,
                maximize: a.flag(12)?,
            };
            let elements = params.iter().map(arcgrad::Tensor::numel).sum();
            work_of(a.py(), elements, || {
                optimizer::adam_(&params, &grads, state.each_ref().map(|s| &s[..]), &steps, options)
            })
        }
    }
}
