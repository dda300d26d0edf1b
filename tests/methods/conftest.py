from small_experiment import images, key  # noqa: F401, fixtures
