"""Ablations of HEViTPose and the choices that no printed number decides."""
