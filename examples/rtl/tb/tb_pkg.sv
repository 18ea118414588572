// SPDX-License-Identifier: Apache-2.0
// Copyright The runtime authors
//
// The parts of the test bench that know no signal: random numbers, the scoreboard, the coverage counters.

package tb_pkg;
  // Random numbers that are the same in every simulator: xorshift32, one stream for each user.
  class Random;
    int unsigned state;

    function new(longint unsigned seed, int unsigned stream);
      state = (seed[31:0] * 32'd2654435769) ^ (seed[63:32] * 32'd3266489917) ^ (stream * 32'd2246822519) ^ 32'h5bd1e995;
      if (state == 0) state = 1;
      repeat (8) void'(next());
    endfunction

    function int unsigned next();
      state ^= state << 13;
      state ^= state >> 17;
      state ^= state << 5;
      return state;
    endfunction

    function int between(int low, int high);  // both may come
      return low + int'(next() % unsigned'(high - low + 1));
    endfunction

    function bit chance(int percent);
      return int'(next() % 100) < percent;
    endfunction
  endclass

  // What has gone in and not yet come out, in order.
  class Scoreboard;
    typedef struct {
      int port;
      int data;
      int number;  // how many words went in before this one
    } word_t;

    word_t expected[$];
    int sent = 0;
    int received = 0;

    function void went_in(int port, int data);
      expected.push_back('{port, data, sent});
      sent++;
    endfunction

    function void came_out(int port, int data);
      word_t want;
      received++;
      if (expected.size() == 0) begin
        report_pkg::error("SCOREBOARD", $sformatf("port %0d data %0d came out, and nothing was in there", port, data));
        return;
      end
      want = expected.pop_front();
      if (port != want.port)
        report_pkg::error("SCOREBOARD", $sformatf("wrong port: word %0d is from port %0d, and came out as from port %0d",
                                                  want.number, want.port, port));
      else if (data != want.data)
        report_pkg::error("SCOREBOARD", $sformatf("wrong data: word %0d is %0d, and came out as %0d",
                                                  want.number, want.data, data));
    endfunction

    function void forget();  // a reset lost what was inside
      expected.delete();
      sent = 0;
      received = 0;
    endfunction
  endclass

  // Named bins and how often each was hit. A bin that exists is written even if it was never hit.
  class Coverage;
    int unsigned hits[string];

    function void declare(string name);
      hits[name] = 0;
    endfunction

    function void hit(string name);
      if (hits.exists(name) == 0) report_pkg::fatal("COVERAGE", {"no such bin: ", name});
      hits[name]++;
    endfunction

    function void write(string path, string prefix);
      int file = $fopen(path, "w");
      if (file == 0) begin
        report_pkg::fatal("COVERAGE", {"cannot write ", path});
        return;
      end
      foreach (hits[name]) $fdisplay(file, "%s%s %0d", prefix, name, hits[name]);
      $fclose(file);
    endfunction
  endclass
endpackage
