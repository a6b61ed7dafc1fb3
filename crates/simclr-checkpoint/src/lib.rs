//! SimCLR checkpoints: safetensors in and out, TensorFlow checkpoints read natively
