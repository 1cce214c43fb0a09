"""A network in the forms that others read: safetensors, ONNX, and a folder in the layout of Hugging Face."""
