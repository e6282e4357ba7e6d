import sys
from pathlib import Path

# The examples import each other as scripts in one folder do.
sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
