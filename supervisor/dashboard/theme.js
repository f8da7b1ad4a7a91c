// SPDX-License-Identifier: Apache-2.0
// The theme: that of the system, or the one that was chosen here. A plain script: it runs before
// the page is painted, which a module does not.
(() => {
	const choices = ['system', 'light', 'dark'];
	const root = document.documentElement;

	function read() {
		try {
			const kept = localStorage.getItem('theme');
			return choices.includes(kept) ? kept : 'system';
		} catch {
			return 'system'; // storage is forbidden: the choice lives as long as the page
		}
	}

	function apply(theme) {
		if (theme === 'system')
			delete root.dataset.theme;
		else
			root.dataset.theme = theme;
	}

	let theme = read();
	apply(theme);
	document.addEventListener('DOMContentLoaded', () => {
		const button = document.getElementById('theme');
		const label = () => {
			button.textContent = `Theme: ${theme}`;
		};

		label();
		button.addEventListener('click', () => {
			theme = choices[(choices.indexOf(theme) + 1) % choices.length];
			apply(theme);
			label();
			try {
				localStorage.setItem('theme', theme);
			} catch {
				// as above
			}
		});
	});
})();
