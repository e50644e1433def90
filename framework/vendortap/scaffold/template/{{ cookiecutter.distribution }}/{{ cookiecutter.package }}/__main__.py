"""The Singer tap of {{ cookiecutter.title }}: ``{{ cookiecutter.distribution }}`` or ``python -m {{ cookiecutter.package }}``."""

from vendortap.singer import run_tap


def main() -> None:
    """Run the tap with the arguments of the command line."""
    run_tap("{{ cookiecutter.name }}")


if __name__ == "__main__":
    main()
