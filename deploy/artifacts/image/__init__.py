"""The image of a release: a base, the dependencies, the app."""

from deploy.artifacts.image.image import Image, base_of, build_image, read_contract

__all__ = ["Image", "base_of", "build_image", "read_contract"]
