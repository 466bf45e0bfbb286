"""A programme's rules in a TOML file: read strictly, mistakes told in French, rules as sentences, examples run."""

from central.rule_file.changes import Former, mistakes_of_change
from central.rule_file.mistakes import Mistake, RuleMistake
from central.rule_file.reading import RuleFile, open_rule_file, read_rule_file, rule_file_of, text_of

__all__ = [
    "Former",
    "Mistake",
    "RuleFile",
    "RuleMistake",
    "mistakes_of_change",
    "open_rule_file",
    "read_rule_file",
    "rule_file_of",
    "text_of",
]
