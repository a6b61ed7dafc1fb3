//! SimCLR image operations and augmentation policies as pure functions of image and random stream
