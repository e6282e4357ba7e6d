import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

# The benchmarks and the examples import each other as scripts in one folder do.
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "examples")]
