"""Videos: any method over a range of frames, as an MP4, a folder of pictures or an array."""
