<?php

namespace App;

class Console extends \Illuminate\Foundation\Console\Kernel
{
}
