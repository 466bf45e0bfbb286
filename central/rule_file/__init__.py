"""A programme's rules in a TOML file: read strictly, mistakes told in French, rules as sentences, examples run."""

from central.rule_file.mistakes import Mistake, RuleMistake
from central.rule_file.reading import RuleFile, open_rule_file, read_rule_file

__all__ = ["Mistake", "RuleFile", "RuleMistake", "open_rule_file", "read_rule_file"]
