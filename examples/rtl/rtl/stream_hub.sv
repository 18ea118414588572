// SPDX-License-Identifier: Apache-2.0
// Copyright The runtime authors
//
// Several streams of words, merged fairly into one, which leaves in another clock domain. A word moves when valid and
// ready are both high at a clock edge. Each word that leaves says which port it came from.

module stream_hub #(
    parameter int PORTS = 4,
    parameter int WIDTH = 16,
    parameter int DEPTH = 16,
    localparam int PW = $clog2(PORTS)
) (
    input  logic                        wclk,
    input  logic                        wrst_n,
    input  logic [PORTS-1:0]            in_valid,
    output logic [PORTS-1:0]            in_ready,
    input  logic [PORTS-1:0][WIDTH-1:0] in_data,

    input  logic             rclk,
    input  logic             rrst_n,
    output logic             out_valid,
    input  logic             out_ready,
    output logic [   PW-1:0] out_port,
    output logic [WIDTH-1:0] out_data
);
  localparam int AW = $clog2(DEPTH);

  logic [PORTS-1:0] grant;
  logic [PW-1:0] index;
  logic full, almost_full, empty, almost_empty;
  logic [AW:0] wlevel, rlevel;
  logic push, served;

  assign push = |in_valid && !full;
  assign in_ready = full ? '0 : grant;
  assign out_valid = !empty;

`ifdef BUG_UNFAIR_GRANT
  assign served = push && wlevel != (AW + 1)'(DEPTH - 1);  // the stream that fills the last entry keeps the grant
`else
  assign served = push;
`endif

`ifdef BUG_TYPO
  assign out_valid = !emtpy;
`endif

  rr_arbiter #(.PORTS(PORTS)) arbiter (.clk(wclk), .rst_n(wrst_n), .request(in_valid), .served, .grant, .index);

  async_fifo #(.WIDTH(PW + WIDTH), .DEPTH(DEPTH)) fifo (
      .wclk, .wrst_n, .push, .wdata({index, in_data[index]}), .full, .almost_full, .wlevel,
      .rclk, .rrst_n, .pop(out_ready), .rdata({out_port, out_data}), .empty, .almost_empty, .rlevel
  );
endmodule
