// SPDX-License-Identifier: Apache-2.0
// Copyright The runtime authors
//
// The test bench of stream_hub. Drives random words into every port, takes them out at the other end, compares them with
// a queue, counts what was covered, and says TEST PASSED or TEST FAILED.
//
//   +test=NAME      smoke, random_traffic, burst_full_empty, clock_ratio, or soak (one port, for ever)
//   +seed=N         decides everything that is random
//   +coverage=FILE  where to write the coverage bins of a run that passed

module tb #(
    parameter int DEPTH = 16
);
  import tb_pkg::*;

  localparam int PORTS = 4;
  localparam int WIDTH = 16;
  localparam int ALMOST = 2;
  localparam longint SILENCE = 50_000_000;  // ps without a word until the watchdog barks; many times the slowest test

  // The design and its two clocks.
  logic wclk = 0, rclk = 0, wrst_n = 1, rrst_n = 1;
  int wperiod = 2000, rperiod = 2000;  // ps
  always #(wperiod / 2) wclk = ~wclk;
  always #(rperiod / 2) rclk = ~rclk;

  logic [PORTS-1:0] in_valid = '0, in_ready;
  logic [PORTS-1:0][WIDTH-1:0] in_data = '0;
  logic out_valid, out_ready = 0;
  logic [1:0] out_port;
  logic [WIDTH-1:0] out_data;

  stream_hub #(.PORTS(PORTS), .WIDTH(WIDTH), .DEPTH(DEPTH)) dut (.*);

  // Stimulus. The knobs are in percent of the clocks.
  int offer[PORTS];  // how often an idle port offers a word
  int take = 0;      // how often the reader is ready
  int quota = 0;     // words still to be offered

  Random choose, write_random, read_random;
  Scoreboard board = new;
  Coverage coverage = new;

  always @(posedge wclk) begin : producers
    for (int p = 0; p < PORTS; p++) begin
      if (!wrst_n) in_valid[p] <= 0;
      else if (!in_valid[p] || in_ready[p]) begin
        if (quota > 0 && write_random.chance(offer[p])) begin
          in_valid[p] <= 1;
          in_data[p]  <= WIDTH'(write_random.next());
          quota--;
        end else in_valid[p] <= 0;
      end
    end
  end

  always @(posedge rclk) out_ready <= rrst_n && read_random.chance(take);

  // The monitors.
  int moved = 0;  // words ever taken out, over resets too

  always @(posedge wclk)
    if (wrst_n)
      for (int p = 0; p < PORTS; p++) if (in_valid[p] && in_ready[p]) board.went_in(p, int'(in_data[p]));

  always @(posedge rclk)
    if (rrst_n && out_valid && out_ready) begin
      board.came_out(int'(out_port), int'(out_data));
      moved++;
    end

  initial begin : watchdog
    int was;
    forever begin
      was = moved;
      #(SILENCE);
      if (moved == was)
        report_pkg::fatal("WATCHDOG", $sformatf("no word came out for %0d ns, %0d are missing",
                                                SILENCE / 1000, board.sent - board.received));
    end
  end

  // Coverage.
  string clocks[5] = '{"write_much_faster", "write_faster", "equal", "read_faster", "read_much_faster"};
  string fill[5] = '{"empty", "low", "middle", "high", "full"};

  initial begin
    for (int p = 0; p < PORTS; p++) begin
      coverage.declare($sformatf("asking.%0d_at_once", p + 1));
      for (int q = 0; q < PORTS; q++) coverage.declare($sformatf("served.port_%0d_after_%0d", p, q));
    end
    foreach (fill[i]) begin
      coverage.declare({"writer_sees.", fill[i]});
      coverage.declare({"reader_sees.", fill[i]});
    end
    foreach (clocks[i]) coverage.declare({"clocks.", clocks[i]});
    coverage.declare("refused.write_when_full");
    coverage.declare("refused.read_when_empty");
    coverage.declare("swing.full_to_empty");
    coverage.declare("swing.empty_to_full");
    coverage.declare("wrapped.write_pointer");
    coverage.declare("wrapped.read_pointer");
    coverage.declare("crossing.ideal");
    coverage.declare("crossing.late_bits");
    coverage.declare("reset.with_words_inside");
  end

  function automatic string fill_of(int level);
    if (level == 0) return "empty";
    if (level >= DEPTH) return "full";
    if (level <= ALMOST / 2) return "low";
    if (level > DEPTH - ALMOST) return "high";
    return "middle";
  endfunction

  int last_port = -1;
  int last_extreme = -1;  // 0 when the FIFO was last empty, 1 when it was last full

  always @(posedge wclk)
    if (wrst_n) begin
      if (|in_valid) coverage.hit($sformatf("asking.%0d_at_once", $countones(in_valid)));
      if (dut.push) begin
        if (last_port >= 0) coverage.hit($sformatf("served.port_%0d_after_%0d", dut.index, last_port));
        last_port = int'(dut.index);
      end
      if (|in_valid && dut.full) coverage.hit("refused.write_when_full");
      if (dut.push && &dut.fifo.wptr) coverage.hit("wrapped.write_pointer");
      coverage.hit({"writer_sees.", fill_of(int'(dut.wlevel))});
      if (dut.full) begin
        if (last_extreme == 0) coverage.hit("swing.empty_to_full");
        last_extreme = 1;
      end
    end

  always @(posedge rclk)
    if (rrst_n) begin
      if (out_ready && dut.empty) coverage.hit("refused.read_when_empty");
      if (out_ready && !dut.empty && &dut.fifo.rptr) coverage.hit("wrapped.read_pointer");
      coverage.hit({"reader_sees.", fill_of(int'(dut.rlevel))});
      if (dut.empty) begin
        if (last_extreme == 1) coverage.hit("swing.full_to_empty");
        last_extreme = 0;
      end
    end

  // The steps that tests are made of.
  task automatic set_clocks(int ratio);  // an index into clocks
    int slow = 2 * choose.between(900, 1100);
    case (ratio)
      0: {wperiod, rperiod} = {slow, slow * choose.between(3, 5)};
      1: {wperiod, rperiod} = {slow, slow + 2 * choose.between(100, 800)};
      2: {wperiod, rperiod} = {slow, slow};
      3: {wperiod, rperiod} = {slow + 2 * choose.between(100, 800), slow};
      default: {wperiod, rperiod} = {slow * choose.between(3, 5), slow};
    endcase
    coverage.hit({"clocks.", clocks[ratio]});
  endtask

  task automatic offer_all(int percent);
    foreach (offer[p]) offer[p] = percent;
  endtask

  task automatic send(int words);  // and wait until all have come out
    quota = words;
    while (quota > 0 || |in_valid || board.received != board.sent) @(posedge rclk);
  endtask

  task automatic reset();
    @(negedge wclk);
    if (board.sent != board.received) coverage.hit("reset.with_words_inside");
    quota = 0;
    wrst_n = 0;
    rrst_n = 0;
    board.forget();
    last_port = -1;
    last_extreme = -1;
    repeat (3) @(negedge wclk);
    repeat (3) @(negedge rclk);
    rrst_n = 1;
    @(negedge wclk) wrst_n = 1;
  endtask

  // The tests.
  task automatic smoke();
    offer_all(20);
    take = 90;
    send(1000);
  endtask

  task automatic random_traffic();
    repeat (3) begin
      repeat (4) begin
        set_clocks(choose.between(0, 4));
        foreach (offer[p]) offer[p] = choose.between(5, 100);
        take = choose.between(20, 100);
        send(choose.between(100, 300));
      end
      take = 0;  // now a reset in the middle, and life goes on
      quota = DEPTH;
      repeat (choose.between(20, 60)) @(posedge wclk);
      reset();
    end
    take = 100;
    send(100);
  endtask

  task automatic burst_full_empty();
    repeat (100) begin
      set_clocks(choose.between(1, 3));
      take = 0;
      offer_all(choose.between(50, 100));
      quota = 3 * DEPTH;
      while (!dut.full) @(posedge wclk);
      repeat (choose.between(1, 12)) @(posedge wclk);
      take = choose.between(60, 100);
      send(choose.between(0, 2 * DEPTH));
    end
  endtask

  task automatic clock_ratio();
    foreach (clocks[ratio]) begin
      set_clocks(ratio);
      offer_all(choose.between(30, 100));
      take = choose.between(50, 100);
      send(600);
    end
  endtask

  task automatic soak();
    offer[0] = 50;
    take = 90;
    forever send(1000);
  endtask

  longint unsigned seed;
  string name, path;

  initial begin : main
    if (!$value$plusargs("seed=%d", seed)) seed = 1;
    if (!$value$plusargs("test=%s", name)) name = "smoke";
    if ($test$plusargs("waves")) begin
      $dumpfile("waves.vcd");
      $dumpvars;
    end
    choose = new(seed, 1);
    write_random = new(seed, 2);
    read_random = new(seed, 3);
    cdc_model::state = choose.next();
    cdc_model::late_percent = choose.chance(40) ? 0 : choose.between(1, 40);
    report_pkg::info($sformatf("test %s, seed %0d, depth %0d, late bits %0d%%",
                               name, seed, DEPTH, cdc_model::late_percent));
    reset();
    case (name)
      "smoke": smoke();
      "random_traffic": random_traffic();
      "burst_full_empty": burst_full_empty();
      "clock_ratio": clock_ratio();
      "soak": soak();
      default: report_pkg::fatal("TEST", {"no such test: ", name});
    endcase
    coverage.hit(cdc_model::late_bits == 0 ? "crossing.ideal" : "crossing.late_bits");
    report_pkg::info($sformatf("%0d words came out", moved));
    if (report_pkg::errors == 0 && $value$plusargs("coverage=%s", path))
      coverage.write(path, $sformatf("depth_%0d.", DEPTH));
    if (!report_pkg::over) report_pkg::conclude();
  end
endmodule
