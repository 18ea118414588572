// SPDX-License-Identifier: Apache-2.0
// Copyright The runtime authors
//
// Assertions, bound into the design. Each says in words what is broken.

module fifo_checks #(
    parameter int AW = 4,
    parameter int DEPTH = 16,
    parameter int ALMOST = 2
) (
    input logic wclk, wrst_n, full, almost_full,
    input logic rclk, rrst_n, empty, almost_empty,
    input logic [AW:0] wlevel, rlevel, wptr, rptr, wcode, rcode
);
  // The true fill level. The design cannot compute it: that needs both pointers at the same time.
  logic [AW:0] stored;
  assign stored = wptr - rptr;

  assert property (@(posedge wclk) disable iff (!wrst_n || !rrst_n) int'(stored) <= DEPTH)
  else report_pkg::error("FIFO", $sformatf("overrun: %0d words in a FIFO of %0d", stored, DEPTH));

  assert property (@(posedge wclk) disable iff (!wrst_n || !rrst_n) wlevel >= stored)
  else report_pkg::error("FIFO", $sformatf("the writer believes in %0d words, there are %0d", wlevel, stored));

  assert property (@(posedge rclk) disable iff (!wrst_n || !rrst_n) rlevel <= stored)
  else report_pkg::error("FIFO", $sformatf("the reader believes in %0d words, there are %0d", rlevel, stored));

  assert property (@(posedge wclk) disable iff (!wrst_n) full |-> almost_full)
  else report_pkg::error("FIFO", "full, and not almost full");

  assert property (@(posedge wclk) disable iff (!wrst_n) almost_full == (int'(wlevel) >= DEPTH - ALMOST))
  else report_pkg::error("FIFO", $sformatf("almost_full is %0d at %0d words", almost_full, wlevel));

  assert property (@(posedge rclk) disable iff (!rrst_n) empty |-> almost_empty)
  else report_pkg::error("FIFO", "empty, and not almost empty");

  assert property (@(posedge rclk) disable iff (!rrst_n) almost_empty == (int'(rlevel) <= ALMOST))
  else report_pkg::error("FIFO", $sformatf("almost_empty is %0d at %0d words", almost_empty, rlevel));

`ifndef BUG_BINARY_POINTERS  // so that the bug is found by its effects, as it would be without this assertion
  assert property (@(posedge wclk) disable iff (!wrst_n) $onehot0(wcode ^ $past(wcode)) || !$past(wrst_n))
  else report_pkg::error("FIFO", "more than one bit of the write pointer changed at once");

  assert property (@(posedge rclk) disable iff (!rrst_n) $onehot0(rcode ^ $past(rcode)) || !$past(rrst_n))
  else report_pkg::error("FIFO", "more than one bit of the read pointer changed at once");
`endif
endmodule

module arbiter_checks #(
    parameter int PORTS = 4
) (
    input logic clk, rst_n,
    input logic [PORTS-1:0] request, grant
);
  assert property (@(posedge clk) disable iff (!rst_n) $onehot0(grant))
  else report_pkg::error("ARBITER", $sformatf("several ports granted: %b", grant));

  assert property (@(posedge clk) disable iff (!rst_n) (grant & ~request) == '0)
  else report_pkg::error("ARBITER", $sformatf("a port granted that asks for nothing: %b", grant & ~request));

  assert property (@(posedge clk) disable iff (!rst_n) |request |-> |grant)
  else report_pkg::error("ARBITER", "ports ask and none is granted");
endmodule

module hub_checks #(
    parameter int PORTS = 4,
    parameter int WIDTH = 16,
    parameter int PW = 2
) (
    input logic wclk, wrst_n,
    input logic [PORTS-1:0] in_valid, in_ready,
    input logic rclk, rrst_n, out_valid, out_ready,
    input logic [PW-1:0] out_port,
    input logic [WIDTH-1:0] out_data
);
  for (genvar p = 0; p < PORTS; p++) begin : port
    // Fairness: how many other words were taken while this port was waiting.
    int unsigned passed_over;

    always_ff @(posedge wclk or negedge wrst_n) begin
      if (!wrst_n || !in_valid[p] || in_ready[p]) passed_over <= 0;
      else if (|(in_valid & in_ready)) passed_over <= passed_over + 1;
    end

    assert property (@(posedge wclk) disable iff (!wrst_n) passed_over < PORTS)
    else report_pkg::error("FAIRNESS", $sformatf("port %0d waits, and was passed over %0d times", p, passed_over));
  end

  assert property (@(posedge rclk) disable iff (!rrst_n) out_valid && !out_ready |=> out_valid)
  else report_pkg::error("STREAM", "a word was withdrawn before it was taken");

  assert property (@(posedge rclk) disable iff (!rrst_n)
                   out_valid && !out_ready |=> $stable({out_port, out_data}))
  else report_pkg::error("STREAM", "a word changed before it was taken");
endmodule

bind async_fifo fifo_checks #(.AW(AW), .DEPTH(DEPTH), .ALMOST(ALMOST)) checks (.*);
bind rr_arbiter arbiter_checks #(.PORTS(PORTS)) checks (.*);
bind stream_hub hub_checks #(.PORTS(PORTS), .WIDTH(WIDTH), .PW(PW)) checks (.*);
