// SPDX-License-Identifier: Apache-2.0
/* A program that calls nothing: what it is linked with must be whole by itself. */
int main(void)
{
	return 0;
}
