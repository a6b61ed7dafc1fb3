//! NT-Xent and the other losses of SimCLRv2 as differentiable candle ops
