"""A structured-concurrency job runtime on trio."""
