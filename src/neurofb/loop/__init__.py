"""The deterministic core: pipeline, baselines and feedback; samples and instructions in, feedback out."""
