// SPDX-License-Identifier: Apache-2.0
// Copyright The runtime authors
//
// What the test bench says. The lines are what the patterns of the job files look for.

package report_pkg;
  localparam int ERROR_LIMIT = 10;  // after so many the rest is noise

  int errors = 0;
  bit over = 0;

  function automatic void info(string text);
    $display("UVM_INFO @ %0d ns %s", $time / 1000, text);
  endfunction

  function automatic void error(string tag, string text);
    if (over) return;
    $display("UVM_ERROR @ %0d ns [%s] %s", $time / 1000, tag, text);
    errors++;
    if (errors == ERROR_LIMIT) conclude();
  endfunction

  function automatic void fatal(string tag, string text);
    if (over) return;
    $display("UVM_FATAL @ %0d ns [%s] %s", $time / 1000, tag, text);
    errors++;
    conclude();
  endfunction

  // The exit code stays 0 whatever the verdict, as with most simulators: the log tells.
  function automatic void conclude();
    over = 1;
    $display("simulated time %0.3f ns", $time / 1000.0);
    if (errors == 0) $display("TEST PASSED");
    else $display("TEST FAILED with %0d errors", errors);
    $finish;
  endfunction
endpackage
