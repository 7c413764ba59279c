"""A module that imports slowly, although it imports only the standard library."""

import asyncio
import concurrent.futures
import csv
import decimal
import email.message
import http.client
import logging.config
import multiprocessing
import sqlite3
import ssl
import statistics
import unittest
import urllib.request
import xml.dom.minidom
import zipfile


def nothing(request):
    return request
