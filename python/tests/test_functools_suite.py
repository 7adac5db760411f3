"""CPython's own tests of `lru_cache` and `cache`, run with gecaso's in their place.

The tests are those of the interpreter that runs this: `Lib/test/test_functools.py`. All of them
hold; there is no list of exceptions.
"""

import functools
import importlib
import types
import unittest

import pytest

import gecaso

try:
    suite = importlib.import_module("test.test_functools")
except ImportError:
    pytest.skip("this interpreter came without its own tests", allow_module_level=True)

MODULE = types.SimpleNamespace(**vars(functools))
MODULE.lru_cache = gecaso.lru_cache
MODULE.cache = gecaso.cache
MODULE._CacheInfo = gecaso.CacheInfo


@gecaso.lru_cache()
def cached_function(x, y):
    return 3 * x + y


class TestLRUGecaso(suite.TestLRU, unittest.TestCase):
    module = MODULE
    cached_func = (cached_function,)

    @gecaso.lru_cache()
    def cached_meth(self, x, y):
        return 3 * x + y

    @staticmethod
    @gecaso.lru_cache()
    def cached_staticmeth(x, y):
        return 3 * x + y


class TestCacheGecaso(suite.TestCache, unittest.TestCase):
    module = MODULE


def test_none_is_missing():
    loader = unittest.TestLoader()
    of_functools = set(loader.getTestCaseNames(suite.TestLRUC))
    assert len(of_functools) >= 25
    assert of_functools == set(loader.getTestCaseNames(TestLRUGecaso))
