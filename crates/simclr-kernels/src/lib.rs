//! CPU kernels for convolutional networks as differentiable candle ops, with a composite path for other devices
