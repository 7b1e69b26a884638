"""Run stock mmpose on the installed versions of torch, numpy and others."""
