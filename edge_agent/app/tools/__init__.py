"""Every source of tools, and what runs behind them."""
